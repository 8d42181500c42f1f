"""The store of histories, the events that it takes, and those that it shows to their user."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from catalog.data.events import EventType
from server.storage.protocol.history import History

__all__ = ["Event", "HistoryStore", "PastEvent", "PastEvents"]


@dataclass(frozen=True, slots=True)
class Event:
    """Something a user did, checked and complete: a row as `catalog.data.events` describes it."""

    user_id: str
    item_id: str
    timestamp: int  # Unix milliseconds
    type: EventType
    event_id: str  # the store keeps one event of a user under an id, and ignores repetitions
    query: str | None = None
    request_id: str | None = None  # of the answer that showed the item
    value: float | None = None  # of a rating the stars, of a purchase the money


@dataclass(frozen=True, slots=True)
class PastEvent:
    """An event of a history, as its user may see it; the query is None where it was no search."""

    item_id: str
    query: str | None
    type: EventType
    timestamp: int  # Unix milliseconds
    event_id: str
    value: float | None = None


@dataclass(frozen=True, slots=True)
class PastEvents:
    """Events of one user's history, the newest first. total: how many events the history has."""

    events: tuple[PastEvent, ...]
    total: int


class HistoryStore(Protocol):
    """Keeps histories and the event log.

    Every method raises HistoryUnavailable where the store does not answer within its time limit.
    """

    async def read(self, user: str, session: str | None = None) -> History:
        """The history of a user, empty where there is none.

        session: the id of a visitor without an account, whose history is merged in by time.
        """

    async def append(self, events: Sequence[Event]) -> list[bool]:
        """Writes events. For each, whether it is new: False where its user's event ids contain its id already."""

    async def past_events(self, user: str, limit: int) -> PastEvents:
        """The latest `limit` events of a user's history."""

    async def merge(self, user: str, session: str) -> int:
        """Moves a session's history into its user's, and returns the number of events that the user is given.

        From then on the session's events are the user's in training too. It may be repeated. Raises SessionTaken where
        the session belongs to another user.
        """

    async def erase(self, user: str) -> int:
        """Erases all events of a user, and of the sessions merged into it, and returns their number.

        None of them is trained on again. It may be repeated.
        """

    async def check(self) -> None:
        """Returns if the store answers."""

    async def warnings(self) -> list[str]:
        """For the operator: how the store's configuration may lose acknowledged events."""

    async def close(self) -> None:
        """Closes the connections."""
