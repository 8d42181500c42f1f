"""Histories: what the service knows about a user's past, and the store that keeps it.

Every event goes to the log that retraining reads; the user's own latest events make the history a prompt is rendered
from. `server/storage/` keeps both in Redis.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Protocol

from catalog.data.changes import Change
from catalog.data.events import EventType
from catalog.data.items import Items
from catalog.text.prompts import Interaction

__all__ = [
    "EMPTY",
    "ChangeBatch",
    "ChangeStore",
    "Event",
    "History",
    "HistoryStore",
    "PastEvent",
    "PastEvents",
    "SplitStore",
    "StoredSplit",
    "Visit",
    "interactions_of",
]


@dataclass(frozen=True, slots=True)
class Event:
    """Something a user did, checked and complete: one row of the events contract."""

    user_id: str
    item_id: str
    timestamp: int  # Unix milliseconds
    type: EventType
    event_id: str  # a second event of this user under the same id is a repetition, not news
    query: str | None = None
    request_id: str | None = None  # of the answer that showed the item


Visit = tuple[str, str | None]
"""One event of a history as far as prompts need it: its item, and the query that led there. Tuples, for speed."""


@dataclass(frozen=True, slots=True)
class History:
    """A user's latest events in time order, oldest first.

    runs: how many interactions the user ever had, those included that are no longer kept. Consecutive events about one
    item for one query are a single interaction. types: of each visit's event; none where only visits are known.
    """

    visits: tuple[Visit, ...]
    runs: int
    types: tuple[str, ...] = ()

    def first(self, interactions: Sequence[Interaction]) -> int:
        """The absolute position of the first of this history's `interactions`.

        Counted from the end, so that it moves only when the history does: a repeated event, or one that falls off the
        far end, leaves every other interaction at its position and the prompt's beginning in the prefix cache.
        """
        return max(0, self.runs - len(interactions))

    def latest_type(self, item_id: str) -> EventType:
        """What was last done with an item of it; a view where that is not known."""
        newest_first = zip(reversed(self.visits), reversed(self.types), strict=False)
        return EventType(next((kind for (item, _), kind in newest_first if item == item_id), EventType.VIEW))


EMPTY = History((), 0)


@dataclass(frozen=True, slots=True)
class PastEvent:
    """An event of a history, as its user may see it."""

    item_id: str
    query: str | None
    type: EventType
    timestamp: int  # Unix milliseconds
    event_id: str


@dataclass(frozen=True, slots=True)
class PastEvents:
    """events: of one user, the newest first. total: how many the history has."""

    events: tuple[PastEvent, ...]
    total: int


class HistoryStore(Protocol):
    """Keeps histories and the event log. Everything here raises HistoryUnavailable when the store is away or slow."""

    async def read(self, user: str, session: str | None = None) -> History:
        """The history of a user, empty where nothing is known; with that of a session, in time order, where one is
        given. A session is a user without an account: ids of both are of one kind."""

    async def append(self, events: Sequence[Event]) -> list[bool]:
        """Writes events. True for a new one, False for one that its user's event ids already contain."""

    async def past_events(self, user: str, limit: int) -> PastEvents:
        """The latest `limit` events of a user's history."""

    async def merge(self, user: str, session: str) -> int:
        """Moves a session's history into its user's, and says how many events that were. From then on the session's
        events count as the user's in training. May be repeated. Raises SessionTaken where it belongs to another."""

    async def erase(self, user: str) -> int:
        """Forgets all events of a user and of the sessions merged into it, and says how many they were. What came
        before never reaches training again. May be repeated."""

    async def check(self) -> None:
        """Returns when the store answers."""

    async def warnings(self) -> list[str]:
        """What an operator should know about how safely acknowledged events are kept."""

    async def close(self) -> None:
        """Releases connections."""


def interactions_of(history: History, items: Items) -> list[Interaction]:
    """What a prompt may show, oldest first: items that the catalog does not have, or not yet, are skipped, and repeats
    collapse.

    The same order of steps as `trainer.data.histories`: first the items that are known, then repeats of one item for
    one query in a row become one interaction.
    """
    visits = ((items.row_of(item_id), query) for item_id, query in history.visits)
    known = ((row, query) for row, query in visits if row is not None)
    return [Interaction(row, query) for (row, query), _ in groupby(known)]


@dataclass(frozen=True, slots=True)
class ChangeBatch:
    """number: of the last change there is. changes: by item id, those that were asked for, the oldest first."""

    number: int
    changes: Mapping[str, Change]


class ChangeStore(Protocol):
    """Keeps, for every item that was ever edited, the last change. Raises HistoryUnavailable when away or slow."""

    async def since(self, number: int) -> ChangeBatch:
        """The changes after that number."""

    async def write(self, changes: Mapping[str, Change], *, expected: int, number: int) -> bool:
        """Writes changes under a number, all or none. False where `expected` is not the last number any more."""

    async def close(self) -> None:
        """Releases connections."""


@dataclass(frozen=True, slots=True)
class StoredSplit:
    """How all servers on one store share the queries among models.

    number: counts the changes of the split; 0 is before the first.
    weights: of every version; None where the current version of every server answers alone.
    """

    number: int
    weights: Mapping[str, int] | None


class SplitStore(Protocol):
    """Keeps the traffic split. Every method but `close` raises HistoryUnavailable when the store is away or slow."""

    async def read(self) -> StoredSplit:
        """The split as it was written last."""

    async def write(self, weights: Mapping[str, int] | None, *, expected: int, number: int) -> bool:
        """Write a split under a number. Returns False, and writes nothing, if `expected` is no longer the last one."""

    async def close(self) -> None:
        """Release connections."""
