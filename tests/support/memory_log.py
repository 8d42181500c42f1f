"""An EventLog in memory: same contract as Redis, and it can be away, or slow."""

import asyncio
from dataclasses import replace

from server.core.errors import HistoryUnavailable
from server.storage.protocol import LogBatch, LoggedEvent

START = 1_700_000_000
"""When every event came, Unix time."""


class MemoryLog:
    """entries: events with their times, and digests of erased users, in the order in which they came.

    goes_on: what reads wait for.
    """

    def __init__(self) -> None:
        self.entries: list[tuple[int, LoggedEvent] | str] = []
        self.away = False
        self.goes_on = asyncio.Event()
        self.goes_on.set()

    async def begin(self, after: int, limit: int) -> LogBatch:
        await self.goes_on.wait()
        batch = self._batch(0, after)
        gone = {place: entry for place, entry in enumerate(self.entries) if isinstance(entry, str)}
        kept = [
            entry[1]
            for place, entry in enumerate(self.entries)
            if not isinstance(entry, str)
            and entry[0] > after
            and not any(place < erasure and user == entry[1].user for erasure, user in gone.items())
        ]
        return replace(batch, events=tuple(kept), erased=())

    async def since(self, position: tuple[str, ...], after: int) -> LogBatch:
        await self.goes_on.wait()
        return self._batch(int(position[0]), after)

    async def close(self) -> None:
        self.away = True

    def _batch(self, begin: int, after: int) -> LogBatch:
        if self.away:
            raise HistoryUnavailable("Redis failed: the test took it away")
        new = self.entries[begin:]
        events = tuple(entry[1] for entry in new if not isinstance(entry, str) and entry[0] > after)
        erased = tuple(entry for entry in new if isinstance(entry, str))
        return LogBatch((str(len(self.entries)),), events, erased, 1_000 * START if events else None)
