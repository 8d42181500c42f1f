"""Responses are compressed with gzip for clients that ask for it.

Starlette's GZipMiddleware does the work: it compresses what is large in a thread, so that the event loop is not held,
and flushes after every line of a batch, so that a line arrives when it is ready. zstd and Brotli are not offered: the
middleware there is for them (starlette-compress) compresses in the event loop.
"""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES, GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["MIN_BYTES", "CompressionMiddleware", "accepts_gzip"]

MIN_BYTES = 1_000  # of a response that is worth it
LEVEL = 5  # of 9: those above take longer for the same size
NOT_MODIFIED = 304


class CompressionMiddleware:
    """GZipMiddleware, and what HTTP asks for beside it: qualities, weak entity tags, the answers to HEAD, and 304."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = GZipMiddleware(app, minimum_size=MIN_BYTES, compresslevel=LEVEL)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        asked = accepts_gzip(Headers(scope=scope).getlist("accept-encoding"))
        # The middleware inside looks for the word alone. The scope is changed in place, because routing leaves notes
        # in it that those outside read.
        others = [header for header in scope["headers"] if header[0] != b"accept-encoding"]
        scope["headers"] = [*others, (b"accept-encoding", b"gzip")] if asked else others

        async def send_consistently(message: Message) -> None:
            if message["type"] == "http.response.start":
                _correct(MutableHeaders(scope=message), message["status"], scope["method"], asked=asked)
            await send(message)

        await self._app(scope, receive, send_consistently)


def accepts_gzip(accept_encoding: list[str]) -> bool:
    """Whether these headers ask for gzip: by name, or by `*` where the name is not there."""
    qualities: dict[str, float] = {}
    for part in ",".join(accept_encoding).lower().split(","):
        coding, *parameters = (piece.strip() for piece in part.split(";"))
        qualities[coding] = _quality(parameters)
    return qualities.get("gzip", qualities.get("x-gzip", qualities.get("*", 0.0))) > 0


def _quality(parameters: list[str]) -> float:
    given = [text.removeprefix("q=") for text in parameters if text.startswith("q=")]
    try:
        return float(given[0]) if given else 1.0
    except ValueError:
        return 0.0


def _correct(headers: MutableHeaders, status: int, method: str, *, asked: bool) -> None:
    """Makes the headers of an answer to HEAD, or of "not modified", those that the whole answer to GET would have."""
    bodiless = method == "HEAD" and _would_be_compressed(headers)
    if bodiless or status == NOT_MODIFIED:
        headers.add_vary_header("Accept-Encoding")
    if bodiless and asked:
        headers["Content-Encoding"] = "gzip"
        del headers["Content-Length"]  # nobody knows it: the body is not made
    tag = headers.get("etag", "")
    if tag.startswith('"') and asked and (status == NOT_MODIFIED or "content-encoding" in headers):
        headers["ETag"] = f"W/{tag}"  # the same in meaning as the answer that is not compressed, not byte for byte


def _would_be_compressed(headers: MutableHeaders) -> bool:
    kind = headers.get("content-type", "").partition(";")[0]
    length = headers.get("content-length", str(MIN_BYTES))  # of a stream nobody knows it, and every one is compressed
    excluded = kind in DEFAULT_EXCLUDED_CONTENT_TYPES or f"{kind.partition('/')[0]}/*" in DEFAULT_EXCLUDED_CONTENT_TYPES
    return not excluded and "content-encoding" not in headers and length.isdecimal() and int(length) >= MIN_BYTES
