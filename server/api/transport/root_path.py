"""The prefix under which a reverse proxy has this server, such as /gemserve.

A proxy may take the prefix off or leave it on: the server answers at both addresses, and so do probes that reach its
port without the proxy. The routes and everything that counts or limits by their paths see an address without it.
"""

from __future__ import annotations

from fastapi import FastAPI, Request, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from server.core.errors import SettingsError

__all__ = ["RootPathMiddleware", "install"]


def install(app: FastAPI, root_path: str) -> None:
    """Has an application whose routes are all there answer under this prefix too; it is a valid setting.

    Raises SettingsError where an address could be meant with the prefix and without it.
    """
    first = root_path.split("/")[1]
    own = {path.split("/")[1] for route in app.routes if (path := getattr(route, "path", ""))}
    if first in own:
        taken = ", ".join(f"/{name}" for name in sorted(own - {""}))
        raise SettingsError(
            f"--root-path: {root_path} begins like an address of the server's own: choose a prefix that begins with"
            f" none of {taken}"
        )
    app.add_api_route(root_path, lead_to_the_page, methods=["GET"], include_in_schema=False)
    app.add_middleware(RootPathMiddleware, root_path=root_path)


async def lead_to_the_page(request: Request) -> Response:
    """The page's addresses are relative to the one with a slash at its end."""
    query = request.scope["query_string"].decode("latin-1")
    name = request.scope["path"].rpartition("/")[2]
    return Response(status_code=308, headers={"Location": f"{name}/{'?' if query else ''}{query}"})


class RootPathMiddleware:
    """Takes the prefix off every address that has it; the outermost, so that nothing inside knows of it.

    The scope is changed in place: those outside find in it what is noted inside.
    """

    def __init__(self, app: ASGIApp, *, root_path: str) -> None:
        self._app = app
        self._root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(f"{self._root_path}/"):
            scope["path"] = scope["path"].removeprefix(self._root_path)
            scope["raw_path"] = (scope.get("raw_path") or b"").removeprefix(self._root_path.encode())
        await self._app(scope, receive, send)
