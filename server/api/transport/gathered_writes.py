"""What a connection writes in one turn of the event loop goes out in one piece.

uvicorn writes the head of an answer and its body one after another. A server that is killed between the two would leave
a client, or a balancer that may ask another server while it has nothing, with a head and no body.
"""

from __future__ import annotations

import asyncio
from typing import Any

__all__ = ["GatheredWrites"]

MAX_HELD_BYTES = 1 << 16
"""From here on it is written at once, so that a long answer is held back by the transport's own flow control."""


class GatheredWrites:
    """A transport, whose `write` waits for the end of the turn. Everything else is the transport's own."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held: list[bytes] = []
        self._held_bytes = 0

    def write(self, data: bytes) -> None:
        if not self._held:
            self._loop.call_soon(self._flush)
        self._held.append(data)
        self._held_bytes += len(data)
        if self._held_bytes >= MAX_HELD_BYTES:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def _flush(self) -> None:
        held, self._held, self._held_bytes = self._held, [], 0
        if held and not self._transport.is_closing():
            self._transport.write(b"".join(held))
