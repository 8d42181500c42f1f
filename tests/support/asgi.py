"""Requests to an application without a network and without a client that works in the same event loop."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

from starlette.types import ASGIApp, Message

CHUNK = 1 << 16  # bytes of a body that come at a time


@dataclass(frozen=True, slots=True)
class Call:
    """One request. query: of the URL, as it is sent."""

    method: str
    path: str
    query: str = ""
    body: bytes = b""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Reply:
    status: int = 0
    body: bytes = b""


async def send(app: ASGIApp, call: Call) -> Reply:
    """What the application answers; the body comes in pieces, each in a turn of the loop of its own."""
    reply, parts = Reply(), list[bytes]()
    chunks = iter(_chunks(call.body))

    async def receive() -> Message:
        await asyncio.sleep(0)
        try:
            chunk, more = next(chunks)
        except StopIteration:
            await asyncio.Event().wait()  # the client stays
            raise
        return {"type": "http.request", "body": chunk, "more_body": more}

    async def respond(message: Message) -> None:
        if message["type"] == "http.response.start":
            reply.status = message["status"]
        else:
            parts.append(message.get("body", b""))

    headers = {"content-type": call.content_type, "content-length": str(len(call.body))} | call.headers
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": call.method,
        "path": call.path,
        "raw_path": call.path.encode(),
        "query_string": call.query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 50_000),
        "server": ("shop", 80),
        "scheme": "http",
        "root_path": "",
    }
    await asyncio.create_task(_run(app, scope, receive, respond))
    reply.body = b"".join(parts)
    return reply


async def _run(app: ASGIApp, *arguments: object) -> None:
    await app(*arguments)  # type: ignore[arg-type]


def _chunks(body: bytes) -> Iterable[tuple[bytes, bool]]:
    starts = range(0, len(body), CHUNK) if body else (0,)
    return [(body[start : start + CHUNK], start + CHUNK < len(body)) for start in starts]
