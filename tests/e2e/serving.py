"""The application on a loopback socket, in a thread of the tests' process, so that a test can break its engine."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from server.app import create_app
from server.app.uvicorn_server import bind, runner, uvicorn_config
from server.core.settings import Settings
from tests.e2e.shop import BreakableEngine, deploy

START_SECONDS = 60


@dataclass
class Delays:
    """ASGI middleware. seconds: by a part of the query string, how long requests with it wait."""

    app: ASGIApp
    seconds: dict[str, float] = field(default_factory=dict)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        for part, seconds in self.seconds.items():
            if part in scope.get("query_string", b"").decode():
                await asyncio.sleep(seconds)
        await self.app(scope, receive, send)


@dataclass(frozen=True)
class ServedShop:
    """delays: by a part of the query string, in seconds; `engine.broken = True` breaks every answer."""

    url: str
    engine: BreakableEngine
    delays: dict[str, float]


@contextmanager
def served(settings: Settings) -> Iterator[ServedShop]:
    """Runs until the end of the block. `settings.port` is 0."""
    engine = BreakableEngine()
    app = create_app(settings, deploy=lambda settings: deploy(settings, engine))
    delays = Delays(app)
    listener = bind(settings)
    config = uvicorn_config(app, settings)
    config.app = delays
    server = uvicorn.Server(config)
    started = threading.Event()

    async def serve() -> None:
        async with app.router.lifespan_context(app):
            started.set()
            await server.serve(sockets=[listener])

    def run() -> None:
        with runner() as loop:
            loop.run(serve())

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    if not started.wait(START_SECONDS):
        raise RuntimeError("the application did not start: the test's log has the reason")
    try:
        yield ServedShop(f"http://127.0.0.1:{listener.getsockname()[1]}", engine, delays.seconds)
    finally:
        server.should_exit = True
        thread.join()
