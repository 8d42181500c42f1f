"""Collects what people are answered, and has one server of all that share a Redis write the files.

An answer waits in memory for a second at most, then in Redis, and is in the files a few seconds later, with the events
that name it. While Redis is away answers wait, the newest MAX_WAITING of them; nobody's answer ever waits for this.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import deque
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import structlog

from server.analytics.files import AnalyticsFiles
from server.analytics.records import AnsweredQuery, answered
from server.core.errors import HistoryUnavailable
from server.core.tasks import Outages, Poller
from server.query.cursor import Page
from server.query.types import Query, QueryResult
from server.storage.protocol import AnswerLog

__all__ = ["Collector"]

log = structlog.get_logger(__name__)

SEND_SECONDS = 1.0
WRITE_SECONDS = 5.0
LEASE_SECONDS = 60
MAX_WAITING = 10_000
PIECE = 500
"""Answers in one round trip."""
MAX_BATCHES = 20
"""Batches that one poll writes; the next goes on."""


class Collector:
    """Collects for one server."""

    def __init__(
        self,
        folder: Path,
        store: AnswerLog,
        *,
        days: int,
        send_seconds: float = SEND_SECONDS,
        write_seconds: float = WRITE_SECONDS,
    ) -> None:
        """
        folder: on a disk that all servers on one Redis share.
        days: after which answers and events are forgotten.
        Raises OSError where the folder cannot be written.
        """
        self.files = AnalyticsFiles(folder)
        self._store = store
        self._days = days
        self._owner = uuid.uuid4().hex
        self._waiting: deque[AnsweredQuery] = deque()
        self._lost = 0
        self._alone = asyncio.Lock()
        self._sender = Poller(self._send, send_seconds)
        self._writer = Poller(self._write, write_seconds)
        self._outages = Outages("analytics_unavailable", "analytics_not_written", (HistoryUnavailable,))

    def note(self, query: Query, result: QueryResult, page: Page) -> None:
        """Keep an answer. page: that which its items are."""
        if len(self._waiting) == MAX_WAITING:
            self._waiting.popleft()
            self._lost += 1
        self._waiting.append(answered(query, result, page, time.time_ns() // 1_000_000))

    def start(self) -> None:
        self._sender.start()
        self._writer.start()

    async def stop(self) -> None:
        """Send what waits, if Redis is there, and stop."""
        await self._sender.stop()
        await self._writer.stop()
        await self._send()
        await self._store.close()

    async def flush(self) -> None:
        """Send what waits and write what there is, for whoever wants to see it now."""
        await self._send()
        await self._write()

    async def _send(self) -> None:
        with self._outages.reported():
            while self._waiting:
                some = [self._waiting[place] for place in range(min(PIECE, len(self._waiting)))]
                await self._store.add([orjson.dumps(one.row()) for one in some])
                for one in some:
                    if self._waiting and self._waiting[0] is one:  # else it was dropped meanwhile
                        self._waiting.popleft()
            if self._lost:
                log.error("answers_not_in_analytics", answers=self._lost)
                self._lost = 0

    async def _write(self) -> None:
        with self._outages.reported():
            async with self._alone:
                if not await self._store.claim(self._owner, LEASE_SECONDS):
                    return
                position = await asyncio.to_thread(self.files.position)
                for _ in range(MAX_BATCHES):
                    batch = await self._store.since(position)
                    if batch.position == position:
                        break
                    if not await asyncio.to_thread(self.files.add, position, batch):
                        return
                    await self._store.trim(batch.position)
                    position = batch.position
                    if batch.whole:
                        break
                oldest = datetime.now(UTC).date() - timedelta(days=self._days)
                await asyncio.to_thread(self.files.drop_before, oldest)
