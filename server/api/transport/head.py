"""HEAD, which every address answers that answers GET: the same status and headers, and no body."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["HeadMiddleware"]


class HeadMiddleware:
    """Has the routes answer HEAD as they answer GET, and sends what they say without its body.

    The scope is changed in place, because routing leaves notes in it that those outside read. They are shown HEAD again
    as soon as the answer begins.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        scope["method"] = "GET"
        ended = False

        async def send_head(message: Message) -> None:
            nonlocal ended
            scope["method"] = "HEAD"
            if message["type"] != "http.response.body":
                await send(message)
            elif not ended:
                ended = True
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        try:
            await self._app(scope, receive, send_head)
        finally:
            scope["method"] = "HEAD"
