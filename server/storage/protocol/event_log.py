"""The event log, which holds the events of all users, for those who follow it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from catalog.data.events import EventType
from server.storage.protocol.history import Deed

__all__ = ["EventLog", "LogBatch", "LoggedEvent"]


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """An event of the log.

    user: SHA-256 of the user's id (`catalog.data.tombstones`).
    type: of `EventType`, as text, for speed.
    value: of a rating the stars, of a purchase the money.
    past: of a user's first event, what the user did before the time asked for, oldest first, dislikes among it.
    timestamp: Unix ms; 0 where nobody knows.
    """

    user: str
    item_id: str
    query: str | None
    past: tuple[Deed, ...] = ()
    type: str = EventType.VIEW.value
    value: float | None = None
    timestamp: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class LogBatch:
    """What happened between two positions of the log.

    position: where the next batch begins.
    events: in the order in which they came.
    erased: SHA-256 of the ids of users who were erased, after all these events.
    oldest: when the first of the events came, Unix ms by the clock of the store; None where there is none.
    """

    position: tuple[str, ...]
    events: tuple[LoggedEvent, ...] = ()
    erased: tuple[str, ...] = ()
    oldest: int | None = None


class EventLog(Protocol):
    """The event log, for those who follow it. Every method raises HistoryUnavailable as those of HistoryStore."""

    async def begin(self, after: int, limit: int) -> LogBatch:
        """About the newest `limit` events that are newer than a time, Unix ms; erasures are left out.

        Each user's first event says what was before.
        """

    async def since(self, position: tuple[str, ...], after: int) -> LogBatch:
        """What came after a position. after: as in `begin`."""

    async def close(self) -> None:
        """Closes the connections."""
