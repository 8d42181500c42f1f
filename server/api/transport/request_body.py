"""Request bodies: bounded in size, and decompressed where a client compressed them."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from backports import zstd
from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.api.transport.protocol import MAX_URL_BYTES
from server.core import errors
from server.core.errors import Problem

__all__ = ["ENCODINGS", "RequestBodyMiddleware", "decompress"]

MAX_WINDOW_LOG = 23  # of zstd: 8 MiB of memory, what RFC 8878 has every decoder support
MAX_PARTS = 64  # gzip members or zstd frames one after another

DECOMPRESSION = ThreadPoolExecutor(1, thread_name_prefix="decompression")
"""One body at a time: each has a window of up to 8 MiB, and every thread's allocator keeps what it once had."""


class Decompressor(Protocol):
    """What zlib and zstd have in common."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


def gzip_decompressor() -> Decompressor:
    return zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)


def zstd_decompressor() -> Decompressor:
    return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: MAX_WINDOW_LOG})


ENCODINGS: dict[str, Callable[[], Decompressor]] = {"gzip": gzip_decompressor, "zstd": zstd_decompressor}
"""By name, as Content-Encoding has it."""
SAME = {"x-gzip": "gzip"}


class RequestBodyMiddleware:
    """Raises Problem for a URL or a body that is too large, as soon as that is known, and decompresses bodies.

    A body's limit holds before and after decompression. Compressed ones are collected first and decompressed in a
    thread, when a route reads them: so one that nobody may send costs nothing, and the decompressor's window is not
    held while a client is slow.
    """

    def __init__(self, app: ASGIApp, *, max_bytes: int, max_bytes_at: Mapping[str, int]) -> None:
        """
        max_bytes: of a body.
        max_bytes_at: by path, of the bodies that have another limit.
        """
        self._app = app
        self._max_bytes = max_bytes
        self._max_bytes_at = max_bytes_at

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        limit = self._max_bytes_at.get(scope["path"], self._max_bytes)
        _check_size(request, limit)
        encoding = _encoding_of(request)
        body = _LimitedBody(receive, limit)
        await self._app(scope, body if encoding is None else _CompressedBody(body, encoding, limit), send)


def decompress(body: bytes, encoding: str, limit: int) -> bytes:
    """The body as it was before a client compressed it. Never makes more than `limit` + 1 bytes of it.

    Raises Problem where it would be longer than `limit`, or is not what its encoding says.
    """
    parts: list[bytes] = []
    size = 0
    while len(parts) < MAX_PARTS:
        decompressor = ENCODINGS[encoding]()
        try:
            part = decompressor.decompress(body, limit - size + 1)
        except (zlib.error, zstd.ZstdError) as error:
            raise _malformed(encoding, str(error)) from error
        parts.append(part)
        size += len(part)
        if size > limit:
            raise _too_large(limit, "the decompressed body")
        if not decompressor.eof:
            raise _malformed(encoding, "it ends too early")
        body = decompressor.unused_data
        if not body:
            return b"".join(parts)
    raise _malformed(encoding, f"it has over {MAX_PARTS} parts")


def _check_size(request: Request, limit: int) -> None:
    if max(len(request.scope.get("query_string", b"")), len(request.scope["path"])) > MAX_URL_BYTES:
        raise Problem(errors.URL_TOO_LONG, f"the URL is over {MAX_URL_BYTES:,} bytes: shorten what it asks for")
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and int(length) > limit:
        raise _too_large(limit)
    if {coding.lower() for coding in request.headers.getlist("transfer-encoding")} - {"chunked"}:
        raise Problem(
            errors.UNSUPPORTED_MEDIA_TYPE, "only the Transfer-Encoding chunked is read: send the body with it"
        )


def _encoding_of(request: Request) -> str | None:
    """What the body is compressed with. Raises Problem for what nobody can read here."""
    value = ", ".join(request.headers.getlist("content-encoding")).strip().lower()
    encoding = SAME.get(value, value)
    if encoding in {"", "identity"}:
        return None
    if encoding not in ENCODINGS:
        detail = (
            f"the Content-Encoding {value[:100]} is not read: use {' or '.join(ENCODINGS)}, or send the body as it is"
        )
        raise Problem(errors.UNSUPPORTED_MEDIA_TYPE, detail, headers={"Accept-Encoding": ", ".join(ENCODINGS)})
    return encoding


class _LimitedBody:
    """Receives a body and stops one that turns out to be too large."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive = receive
        self._limit = limit
        self._size = 0

    async def __call__(self) -> Message:
        message = await self._receive()
        self._size += len(message.get("body", b""))
        if self._size > self._limit:
            raise _too_large(self._limit)
        return message


class _CompressedBody:
    """Receives a whole body and hands it over decompressed, in one message; after it, whatever else comes."""

    def __init__(self, receive: Receive, encoding: str, limit: int) -> None:
        self._receive = receive
        self._encoding = encoding
        self._limit = limit
        self._received = False

    async def __call__(self) -> Message:
        if self._received:
            return await self._receive()
        chunks: list[bytes] = []
        while not self._received:
            message = await self._receive()
            if message["type"] != "http.request":
                return message
            chunks.append(message.get("body", b""))
            self._received = not message.get("more_body", False)
        loop = asyncio.get_running_loop()
        body = await loop.run_in_executor(DECOMPRESSION, decompress, b"".join(chunks), self._encoding, self._limit)
        return {"type": "http.request", "body": body, "more_body": False}


def _too_large(limit: int, what: str = "the body") -> Problem:
    return Problem(errors.BODY_TOO_LARGE, f"{what} is over {limit:,} bytes: send less at once")


def _malformed(encoding: str, reason: str) -> Problem:
    return Problem(errors.MALFORMED_ENCODING, f"the body is not {encoding}, as its Content-Encoding says: {reason}")
