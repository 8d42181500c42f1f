"""The protocols of the storage, and the events, histories and changes that it keeps.

Every event goes into the event log, which retraining reads, and into its user's history, which prompts are rendered
from. The rest of `server/storage/` implements the protocols with Redis; tests have them in memory.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Generic, NamedTuple, Protocol, TypeAlias, TypeVar

from catalog.data.changes import Change
from catalog.data.event_weights import EQUAL_WEIGHTS, EventWeights
from catalog.data.events import EventType
from catalog.data.items import Items
from catalog.ids.agreed_paths import Path
from catalog.priors.words import SynonymSet
from catalog.text.prompts import Interaction
from server.storage.overrides import Override

__all__ = [
    "EMPTY",
    "AnalyticsBatch",
    "AnswerLog",
    "AuditLog",
    "AuditPage",
    "AuditedChange",
    "ChangeBatch",
    "ChangeMade",
    "ChangeStore",
    "Deed",
    "Event",
    "EventLog",
    "History",
    "HistoryStore",
    "Impression",
    "LogBatch",
    "LoggedEvent",
    "OverrideStore",
    "PastEvent",
    "PastEvents",
    "PathClaim",
    "PathStore",
    "SharedCatalog",
    "SharedStore",
    "SplitStore",
    "Stored",
    "StoredOverrides",
    "StoredSplit",
    "StoredSynonyms",
    "SynonymStore",
    "TypedVisit",
    "Visit",
    "interactions_of",
]


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


Visit = tuple[str, str | None]
"""An event of a history as prompts need it: its item, and the query that led there or None. A tuple, for speed."""


TypedVisit = tuple[str, str | None, str]
"""The same, and the type of the event."""


class Impression(NamedTuple):
    """That an item was shown to a user. timestamp: Unix ms."""

    item_id: str
    timestamp: int


class Deed(NamedTuple):
    """An event of a history as it is stored. type: of `EventType`, as text, for speed."""

    item_id: str
    query: str | None
    type: str = EventType.VIEW.value
    value: float | None = None


@dataclass(frozen=True, slots=True)
class History:
    """A user's latest events in time order, oldest first.

    visits: the events that count, whether or not the catalog has their items: without dislikes, what a dislike of its
    item followed, low ratings, and types that weigh nothing.
    runs: how many interactions the user ever had, those included that are no longer kept. Consecutive events about one
    item for one query are a single interaction.
    types: the type of each visit's event; empty where only the visits are known.
    values: the value of each visit's event; empty where only the visits are known.
    disliked: the items that the user dislikes: nothing that the user did with them later counts.
    deeds: all events that are kept; empty where only the visits are known.
    stored_dislikes: as `of` takes them.
    impressions: of items that the user did not take then or later, oldest first, each item once a moment; of the newest
        `catalog.priors.live.shown.MAX_IMPRESSIONS`.
    """

    visits: tuple[Visit, ...]
    runs: int
    types: tuple[str, ...] = ()
    values: tuple[float | None, ...] = ()
    disliked: frozenset[str] = frozenset()
    deeds: tuple[Deed, ...] = ()
    stored_dislikes: frozenset[str] = frozenset()
    impressions: tuple[Impression, ...] = ()

    @classmethod
    def of(
        cls,
        deeds: Sequence[Deed],
        runs: int,
        stored_dislikes: Collection[str] = (),
        weights: EventWeights = EQUAL_WEIGHTS,
        impressions: Sequence[Impression] = (),
    ) -> History:
        """The history of all events that are kept, oldest first.

        stored_dislikes: items that the user did nothing with after a dislike, but perhaps rate them; the dislikes may
        no longer be among the events.
        """
        kept: Sequence[Deed] = deeds
        over, stored = set[str](), frozenset(stored_dislikes)
        if stored or weights.ignore_some or any(deed.type == EventType.DISLIKE for deed in deeds):
            kept, over = _positive(deeds, stored, weights)
        visits = tuple([(item, query) for item, query, _, _ in kept])
        types, values = tuple([deed.type for deed in kept]), tuple([deed.value for deed in kept])
        return cls(visits, runs, types, values, frozenset(over), tuple(deeds), stored, tuple(impressions))

    def weighed(self, weights: EventWeights) -> History:
        """The same history, without what counts nothing by these weights."""
        if not (weights.ignore_some and self.deeds):
            return self
        return History.of(self.deeds, self.runs, self.stored_dislikes, weights, self.impressions)

    @property
    def counted(self) -> list[Deed]:
        """The events that count."""
        told = zip(self.visits, self.types, self.values, strict=True)
        return [Deed(item, query, kind, value) for (item, query), kind, value in told]

    def items_of(self, types: Collection[str]) -> set[str]:
        """The items of all events of some types, low ratings and what is disliked since among them."""
        if not self.deeds:
            return {item for item, _ in self.visits} if EventType.VIEW in types else set()
        return {deed.item_id for deed in self.deeds if deed.type in types}

    def first(self, interactions: Sequence[Interaction]) -> int:
        """The absolute position of the first of `interactions`, which are all that a prompt may show of this history.

        It is counted from the end: a repeated event, or one that is no longer kept, leaves every other interaction at
        its position, so that the beginning of the prompt stays in the engine's prefix cache.
        """
        return max(0, self.runs - len(interactions))

    def latest_type(self, item_id: str) -> EventType:
        """The type of the latest event with an item of this history; a view where types are not known."""
        newest_first = zip(reversed(self.visits), reversed(self.types), strict=False)
        return EventType(next((kind for (item, _), kind in newest_first if item == item_id), EventType.VIEW))


def _positive(
    deeds: Sequence[Deed], stored_dislikes: Collection[str], weights: EventWeights
) -> tuple[list[Deed], set[str]]:
    """The events that count, oldest first, and the items that are disliked in the end."""
    kept: list[Deed] = []
    over: set[str] = set()  # items of which a later dislike was seen
    for deed in reversed(deeds):
        if deed.type == EventType.DISLIKE:
            over.add(deed.item_id)
        elif deed.item_id in over or (deed.item_id in stored_dislikes and deed.type != EventType.RATING):
            continue
        elif weights.of(deed.type, deed.value) > 0:
            kept.append(deed)
    return kept[::-1], over.union(stored_dislikes).difference(deed.item_id for deed in kept)


EMPTY = History((), 0)


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
    """Changes of the catalog.

    number: the number of the last change in the store.
    changes: by item id, the last change of each, the oldest first.
    """

    number: int
    changes: Mapping[str, Change]


class ChangeStore(Protocol):
    """Keeps the last change of every item that was ever changed over HTTP.

    Every method raises HistoryUnavailable where the store does not answer within its time limit.
    """

    async def since(self, number: int) -> ChangeBatch:
        """The changes with a greater number."""

    async def write(self, changes: Mapping[str, Change], *, expected: int, number: int) -> bool:
        """Writes changes under a number, all or none. False, and none, where `expected` is not the last number."""

    async def close(self) -> None:
        """Closes the connections."""


@dataclass(frozen=True, slots=True)
class PathClaim:
    """What came of a claim of paths.

    of: by item id, the path that the item has in the store now, whoever claimed it first; an item whose path was
        another's has none.
    taken: of the paths asked for, those that other items have.
    """

    of: Mapping[str, Path]
    taken: frozenset[Path]


class PathStore(Protocol):
    """Keeps the paths of new items, by the version of the bundle: the first that was claimed stays.

    Every method raises HistoryUnavailable where the store does not answer within its time limit.
    """

    async def paths(self, version: str, item_ids: Sequence[str]) -> dict[str, Path]:
        """The paths of those of these items that have one."""

    async def claim(self, version: str, paths: Mapping[str, Path]) -> PathClaim:
        """Gives each item its path where neither has another, and keeps all of this version for longer."""


class SharedCatalog(ChangeStore, PathStore, Protocol):
    """All that servers on one store share of the catalog."""


@dataclass(frozen=True, slots=True)
class StoredSplit:
    """How all servers on one store share the queries among models.

    number: counts the changes of the split; 0 is before the first.
    weights: of every version; None where the current version of every server answers alone.
    """

    number: int
    weights: Mapping[str, int] | None


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


class TokenStore(Protocol):
    """Keeps the token buckets of all callers of a fleet."""

    async def take(self, caller: str, per_second: float, capacity: float) -> float:
        """Takes a token from a caller's bucket, and returns 0; where there is none, the seconds until there is one.

        caller: `key:…` or `address:…`. per_second, capacity: of the bucket, as they are at this moment. Raises
        HistoryUnavailable when the store is away or slow.
        """

    async def close(self) -> None:
        """Release connections."""


class SplitStore(Protocol):
    """Keeps the traffic split. Every method but `close` raises HistoryUnavailable when the store is away or slow."""

    async def read(self) -> StoredSplit:
        """The split as it was written last."""

    async def write(self, weights: Mapping[str, int] | None, *, expected: int, number: int) -> bool:
        """Write a split under a number. Returns False, and writes nothing, if `expected` is no longer the last one."""

    async def close(self) -> None:
        """Release connections."""


Entry = TypeVar("Entry")


@dataclass(frozen=True)  # with slots, Python 3.11 cannot make one of `Stored[...]`
class Stored(Generic[Entry]):
    """Everything of one kind that all servers on one store share, by ids: the synonyms, or the overrides.

    number: counts the changes; 0 is before the first.
    """

    number: int
    entries: Mapping[str, Entry]


class SharedStore(Protocol[Entry]):
    """Keeps everything of one kind. Every method but `close` raises HistoryUnavailable when the store is away or
    slow."""

    async def number(self) -> int:
        """The number of the last change."""

    async def read(self) -> Stored[Entry]:
        """All of it as it was written last."""

    async def write(self, entries: Mapping[str, Entry], *, expected: int, number: int) -> bool:
        """Write all of it under a number. Returns False, and writes nothing, if `expected` is no longer the last."""

    async def close(self) -> None:
        """Release connections."""


StoredSynonyms = Stored[SynonymSet]
SynonymStore: TypeAlias = SharedStore[SynonymSet]
StoredOverrides = Stored[Override]
OverrideStore: TypeAlias = SharedStore[Override]


@dataclass(frozen=True, slots=True)
class ChangeMade:
    """A change that somebody made over HTTP.

    key, key_name: id and name of the key that it came with; None where none was needed.
    address: where it came from; empty where that is not known.
    method, route: as the OpenAPI document has them.
    target: the part of the address that the route leaves open, such as an item's id; of a user SHA-256 of the id.
    """

    request_id: str
    key: str | None
    key_name: str | None
    address: str
    method: str
    route: str
    target: Mapping[str, str]
    status: int


@dataclass(frozen=True, slots=True)
class AuditedChange:
    """A change of the audit log. name: of its place there, Unix ms by the clock of the store and a number."""

    name: str
    change: ChangeMade


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Changes, the newest first. more: whether there are older ones."""

    changes: tuple[AuditedChange, ...]
    more: bool


class AuditLog(Protocol):
    """Keeps the latest changes. Every method but `close` raises HistoryUnavailable when the store is away or slow."""

    async def add(self, change: ChangeMade) -> None:
        """Write a change."""

    async def latest(self, limit: int, before: str | None = None) -> AuditPage:
        """The latest `limit` changes. before: a place; older ones than that only."""

    async def close(self) -> None:
        """Release connections."""


@dataclass(frozen=True, slots=True)
class AnalyticsBatch:
    """What happened between two positions, as rows of `server/analytics/records.py`.

    position: where the next batch begins, by the name of each stream. erased: SHA-256 of the ids of erased users.
    whole: whether there was nothing more.
    """

    position: Mapping[str, str]
    answers: Sequence[Mapping[str, Any]]
    events: Sequence[Mapping[str, Any]]
    erased: tuple[str, ...]
    whole: bool


class AnswerLog(Protocol):
    """Keeps answers until they are in files. Every method but `close` raises HistoryUnavailable as others do."""

    async def add(self, rows: Sequence[bytes]) -> None:
        """Write answers, each as JSON."""

    async def claim(self, owner: str, seconds: int) -> bool:
        """Whether `owner` is the one who writes the files, for so long at least."""

    async def since(self, position: Mapping[str, str]) -> AnalyticsBatch:
        """Answers, events and erasures after a position; an empty one is before all that there is."""

    async def trim(self, position: Mapping[str, str]) -> None:
        """Forget the answers up to a position."""

    async def close(self) -> None:
        """Release connections."""
