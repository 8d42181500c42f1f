"""The histories that answers are checked against: every user's events, as far as the server acknowledged them.

An event that was sent and not acknowledged may be in a history or not. So some events must be there, those acknowledged
before a request was sent, and others may be there, all that were ever sent.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

__all__ = ["ExpectedHistories", "SentEvent"]


@dataclass(slots=True)
class SentEvent:
    """An event that was sent to the server.

    timestamp: Unix milliseconds, different for every event.
    acknowledged: when its acknowledgement was read, on the monotonic clock; infinite before.
    """

    user: str
    event_id: str
    item_id: str
    kind: str
    query: str | None
    timestamp: int
    acknowledged: float = math.inf

    def body(self, request_id: str | None) -> dict[str, Any]:
        """The body of POST /events."""
        return {
            "user_id": self.user,
            "item_id": self.item_id,
            "type": self.kind,
            "timestamp": self.timestamp,
            "query": self.query,
            "event_id": self.event_id,
            "request_id": request_id,
        }


class ExpectedHistories:
    """All users' and sessions' events.

    history_length: number of events that the server keeps of a user.
    """

    def __init__(
        self,
        history_length: int = 200,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.history_length = history_length
        self._clock = clock
        self._wall_clock = wall_clock
        self._last_timestamp = 0
        self._events: dict[str, list[SentEvent]] = {}

    @property
    def begun(self) -> bool:
        """Whether any event was sent."""
        return bool(self._events)

    def send(self, user: str, item_id: str, kind: str, query: str | None = None) -> SentEvent:
        """Call before an event is sent."""
        self._last_timestamp = max(self._last_timestamp + 1, int(self._wall_clock() * 1000))
        event = SentEvent(user, f"e-{self._last_timestamp}", item_id, kind, query, self._last_timestamp)
        self._events.setdefault(user, []).append(event)
        return event

    def acknowledge(self, event: SentEvent) -> None:
        """Call when the server has acknowledged an event."""
        event.acknowledged = min(event.acknowledged, self._clock())

    def begin_merge(self, user: str, session: str) -> list[SentEvent]:
        """Call before a session is merged: its events may be the user's from now on and need not be its own.

        Returns the events that must be the user's once the merge is acknowledged.
        """
        due = []
        for event in self.possible(session):
            moved = replace(event, user=user, acknowledged=math.inf)
            self._events.setdefault(user, []).append(moved)
            if math.isfinite(event.acknowledged):
                due.append(moved)
            event.acknowledged = math.inf
        return due

    def end_merge(self, session: str, due: list[SentEvent]) -> None:
        """Call when the server has acknowledged a merge."""
        self._events.pop(session, None)
        for event in due:
            self.acknowledge(event)

    def begin_erasure(self, user: str) -> None:
        """Call before a user is erased: from now on none of their events need be there."""
        for event in self.possible(user):
            event.acknowledged = math.inf

    def end_erasure(self, user: str) -> None:
        """Call when the server has acknowledged an erasure."""
        self._events.pop(user, None)

    def possible(self, user: str) -> list[SentEvent]:
        """The events that may be in the history."""
        return self._events.get(user, [])

    def certain(self, user: str, before: float) -> list[SentEvent]:
        """The events that must be in the history that a request sent at `before` reads, in order of time.

        The server keeps only the newest events. One is surely kept if it is among the newest of all that may be there,
        whatever else arrived.
        """
        events = sorted(self.possible(user), key=lambda event: event.timestamp)
        return [event for event in events[-self.history_length :] if event.acknowledged <= before]
