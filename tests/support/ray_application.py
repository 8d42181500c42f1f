"""deploy/ray as it is, but for its bundles and its engine, which are those of tests.support.fake_server.

    import_path: tests.support.ray_application:application

It needs Ray and, in PYTHONPATH, deploy/ray. Answers name the node that gave them.
"""

from functools import partial

import ray
from application import application_of
from fastapi import FastAPI
from replica import server as server_of
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.app import create_app
from tests.support.fake_server import deploy
from tests.support.haproxy import SERVED_BY


class Signed:
    def __init__(self, app: ASGIApp, name: str) -> None:
        self.app = app
        self.name = name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def signed(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[SERVED_BY] = self.name
            await send(message)

        await self.app(scope, receive, signed)


def server() -> FastAPI:
    app = server_of(partial(create_app, deploy=deploy))
    app.add_middleware(Signed, name=ray.util.get_node_ip_address())
    return app


application = application_of(server)
