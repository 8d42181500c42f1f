"""What every user did, as far as the server acknowledged it: the histories that answers are held to.

An event that was sent and not acknowledged may be in a history or not. So there are events that must be there, those
acknowledged before a request was sent, and events that may be there, all that were ever sent.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

__all__ = ["Entry", "Ledger"]


@dataclass(slots=True)
class Entry:
    """One event. timestamp: Unix ms, another one for each. acknowledged: on the ledger's clock, infinite before."""

    user: str
    event_id: str
    item_id: str
    kind: str
    query: str | None
    timestamp: int
    acknowledged: float = math.inf

    def body(self, request_id: str | None) -> dict[str, Any]:
        """As POST /events takes it."""
        return {
            "user_id": self.user,
            "item_id": self.item_id,
            "type": self.kind,
            "timestamp": self.timestamp,
            "query": self.query,
            "event_id": self.event_id,
            "request_id": request_id,
        }


class Ledger:
    """history_length: events that the server keeps of a user."""

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
        self._entries: dict[str, list[Entry]] = {}

    def send(self, user: str, item_id: str, kind: str, query: str | None = None) -> Entry:
        """Called before an event is sent."""
        self._last_timestamp = max(self._last_timestamp + 1, int(self._wall_clock() * 1000))
        entry = Entry(user, f"e-{self._last_timestamp}", item_id, kind, query, self._last_timestamp)
        self._entries.setdefault(user, []).append(entry)
        return entry

    def acknowledge(self, entry: Entry) -> None:
        entry.acknowledged = min(entry.acknowledged, self._clock())

    def begin_merge(self, user: str, session: str) -> list[Entry]:
        """Called before a session is merged: what it did may be the user's from now on, and need not be its own.

        Returns what must be the user's when the merge is acknowledged.
        """
        due = []
        for entry in self.possible(session):
            moved = replace(entry, user=user, acknowledged=math.inf)
            self._entries.setdefault(user, []).append(moved)
            if math.isfinite(entry.acknowledged):
                due.append(moved)
            entry.acknowledged = math.inf
        return due

    def end_merge(self, session: str, due: list[Entry]) -> None:
        """Called when a merge was acknowledged."""
        self._entries.pop(session, None)
        for entry in due:
            self.acknowledge(entry)

    def begin_erasure(self, user: str) -> None:
        """Called before a user is erased: from now on nothing need be there."""
        for entry in self.possible(user):
            entry.acknowledged = math.inf

    def end_erasure(self, user: str) -> None:
        self._entries.pop(user, None)

    def possible(self, user: str) -> list[Entry]:
        """What may be in the history."""
        return self._entries.get(user, [])

    def certain(self, user: str, before: float) -> list[Entry]:
        """What must be in the history of a request sent at `before`, in order of time.

        Only the newest are kept: an event is among them whatever else arrived if it is among the newest of all that
        may be there.
        """
        entries = sorted(self.possible(user), key=lambda entry: entry.timestamp)
        return [entry for entry in entries[-self.history_length :] if entry.acknowledged <= before]
