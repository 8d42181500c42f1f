"""Answers of many lines, also one that begins while its request is still arriving."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable

from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from server.api.transport.disconnect import cancel_on_disconnect

__all__ = ["NDJSON", "EarlyResponse", "LineResponse"]

NDJSON = "application/x-ndjson"


class LineResponse(StreamingResponse):
    """Lines as they are made; making them stops when the client leaves, wherever it was then."""

    media_type = NDJSON

    def __init__(self, lines: AsyncGenerator[bytes, None]) -> None:
        super().__init__(lines)
        self._lines = lines

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._lines.aclose()


class EarlyResponse(Response):
    """Lines as they are made of a body that still arrives.

    Many clients read nothing before they have sent everything. So while the body arrives, making lines does not wait
    until those before are taken: they are kept, and whoever makes them bounds how many there are. Afterwards it waits.
    Making them stops when the client leaves.
    """

    media_type = NDJSON

    def __init__(self, request: Request, lines: AsyncIterator[bytes], arrived: Callable[[], bool]) -> None:
        """arrived: whether all of the body is there."""
        super().__init__()
        self._request = request
        self._lines = lines
        self._arrived = arrived

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [header for header in self.raw_headers if header[0] != b"content-length"]
        await send({"type": "http.response.start", "status": self.status_code, "headers": headers})
        waiting: asyncio.Queue[bytes] = asyncio.Queue()

        async def send_lines() -> None:
            while True:
                body = await waiting.get()
                await send({"type": "http.response.body", "body": body, "more_body": True})
                waiting.task_done()

        with cancel_on_disconnect(self._request):
            sender = asyncio.create_task(send_lines())
            try:
                async for lines in self._lines:
                    waiting.put_nowait(lines)
                    if self._arrived():
                        await waiting.join()
                await waiting.join()
            finally:
                sender.cancel()
                await asyncio.gather(sender, return_exceptions=True)
        await send({"type": "http.response.body", "body": b"", "more_body": False})
