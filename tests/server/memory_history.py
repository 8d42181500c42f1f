"""A HistoryStore in memory, for HTTP tests: same contract as Redis, and it can be away."""

from collections.abc import Sequence

from server.errors import HistoryUnavailable
from server.history import Event, History


class MemoryHistory:
    def __init__(self) -> None:
        self.events: list[Event] = []
        self.away = False
        self.closed = False

    async def read(self, user: str) -> History:
        await self.check()
        events = sorted((e for e in self.events if e.user_id == user), key=lambda e: e.timestamp)
        visits = tuple((e.item_id, e.query) for e in events)
        runs = sum(left != right for left, right in zip(visits, (None, *visits), strict=False))
        return History(visits, runs)

    async def append(self, events: Sequence[Event]) -> list[bool]:
        await self.check()
        return [self._record(event) for event in events]

    def _record(self, event: Event) -> bool:
        if any((e.user_id, e.event_id) == (event.user_id, event.event_id) for e in self.events):
            return False
        self.events.append(event)
        return True

    async def check(self) -> None:
        if self.away:
            raise HistoryUnavailable("Redis failed: the test took it away")

    async def warnings(self) -> list[str]:
        return []

    async def close(self) -> None:
        self.closed = True
