"""A network between a server and Redis that is slow, silent, or breaks in the middle of a reply."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

CHUNK_BYTES = 1 << 16
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(eq=False)
class Link:
    """One connection of the server, and the one to Redis behind it."""

    server: asyncio.StreamWriter
    redis: asyncio.StreamWriter
    forgotten: bool = False

    def close(self) -> None:
        self.server.close()
        self.redis.close()

    def reset(self) -> None:
        self.server.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self.close()


@dataclass
class Proxy:
    """Listens on `port`; what it does to replies may be changed at any time."""

    redis_port: int
    port: int = 0
    delay: Callable[[], float] = lambda: 0.0
    """Seconds that a chunk of a reply takes."""
    silent: bool = False
    """Connections are taken, and nothing is ever passed on."""
    cut_after: int | None = None
    """The next reply ends after so many bytes, with its connection."""
    links: set[Link] = field(default_factory=set)
    made: int = 0
    """Connections that the server made so far."""

    def forget(self) -> None:
        """As a firewall does with idle connections: those of now are open still, and lead nowhere."""
        for link in self.links:
            link.forgotten = True

    def reset(self) -> None:
        for link in self.links:
            link.reset()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Proxy]:
        tasks: set[asyncio.Task[None]] = set()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            tasks.add(task)
            self.made += 1
            from_redis, to_redis = await asyncio.open_connection("127.0.0.1", self.redis_port)
            link = Link(writer, to_redis)
            self.links.add(link)
            requests = asyncio.create_task(self._pass_on(link, reader, to_redis))
            try:
                await self._pass_back(link, from_redis)
            finally:
                requests.cancel()
                await asyncio.gather(requests, return_exceptions=True)
                self.links.discard(link)
                link.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _pass_on(self, link: Link, reader: asyncio.StreamReader, redis: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(CHUNK_BYTES):
                if not (self.silent or link.forgotten):
                    redis.write(chunk)
        redis.close()

    async def _pass_back(self, link: Link, redis: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError):
            while chunk := await redis.read(CHUNK_BYTES):
                await asyncio.sleep(self.delay())
                if self.silent or link.forgotten:
                    continue
                if self.cut_after is not None:
                    link.server.write(chunk[: self.cut_after])
                    self.cut_after = None
                    return
                link.server.write(chunk)
