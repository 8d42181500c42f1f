"""A HistoryStore in memory, for HTTP tests: same contract as Redis, and it can be away."""

from collections.abc import Sequence
from dataclasses import replace

from catalog.data.events import EventType
from catalog.priors.live.shown import MAX_IMPRESSIONS
from server.core.errors import HistoryUnavailable, SessionTaken
from server.storage.protocol import Deed, Event, History, Impression, PastEvent, PastEvents


class MemoryHistory:
    def __init__(self) -> None:
        self.events: list[Event] = []
        self.owners: dict[str, str] = {}  # of sessions
        self.away = False
        self.closed = False

    async def read(self, user: str, session: str | None = None) -> History:
        await self.check()
        deeds = [Deed(e.item_id, e.query, e.type.value, e.value) for e in self._of(user, session)]
        visits = [deed[:2] for deed in deeds if deed.type != EventType.DISLIKE]
        runs = sum(left != right for left, right in zip(visits, (None, *visits), strict=False))
        return History.of(deeds, runs, impressions=self._shown(user, session))

    async def append(self, events: Sequence[Event]) -> list[bool]:
        await self.check()
        known = {(event.user_id, event.event_id) for event in self.events}
        return [self._record(event, known) for event in events]

    async def past_events(self, user: str, limit: int) -> PastEvents:
        await self.check()
        events = self._of(user)[::-1]
        shown = [PastEvent(e.item_id, e.query, e.type, e.timestamp, e.event_id, e.value) for e in events[:limit]]
        return PastEvents(tuple(shown), len(events))

    async def merge(self, user: str, session: str) -> int:
        await self.check()
        if self.owners.setdefault(session, user) != user or self.owners.get(user) == session:
            raise SessionTaken(f"the session {session!r} belongs to another user")
        moved = [e for e in self.events if e.user_id == session]
        self.events = [e for e in self.events if e.user_id != session]
        return sum(await self.append([replace(event, user_id=user) for event in moved]))

    async def erase(self, user: str) -> int:
        await self.check()
        erased = {user} | {session for session, owner in self.owners.items() if owner == user}
        before = len(self.events)
        self.events = [e for e in self.events if e.user_id not in erased]
        self.owners = {session: owner for session, owner in self.owners.items() if session not in erased}
        return before - len(self.events)

    def _of(self, *users: str | None) -> list[Event]:
        kept = (e for e in self.events if e.user_id in users and e.type != EventType.IMPRESSION)
        return sorted(kept, key=lambda e: e.timestamp)

    def _shown(self, *users: str | None) -> list[Impression]:
        own = [e for e in self.events if e.user_id in users]
        taken = [(e.item_id, e.timestamp) for e in own if e.type.is_interaction]
        left = {
            Impression(e.item_id, e.timestamp)
            for e in own
            if e.type == EventType.IMPRESSION and not any(item == e.item_id and at >= e.timestamp for item, at in taken)
        }
        return sorted(left, key=lambda one: (one.timestamp, one.item_id))[-MAX_IMPRESSIONS:]

    def _record(self, event: Event, known: set[tuple[str, str]]) -> bool:
        if (event.user_id, event.event_id) in known:
            return False
        known.add((event.user_id, event.event_id))
        self.events.append(event)
        return True

    async def check(self) -> None:
        if self.away:
            raise HistoryUnavailable("Redis failed: the test took it away")

    async def warnings(self) -> list[str]:
        return []

    async def close(self) -> None:
        self.closed = True
