"""A user's history: what it did, as prompts and the priors need it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from catalog.data.event_weights import EQUAL_WEIGHTS, EventWeights
from catalog.data.events import EventType
from catalog.data.items import Items
from catalog.text.prompts import Interaction

__all__ = ["EMPTY", "Deed", "History", "Impression", "TypedVisit", "Visit", "interactions_of"]


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


def interactions_of(history: History, items: Items) -> list[Interaction]:
    """What a prompt may show, oldest first: items that the catalog does not have, or not yet, are skipped, and repeats
    collapse.

    The same order of steps as `trainer.data.histories`: first the items that are known, then repeats of one item for
    one query in a row become one interaction.
    """
    visits = ((items.row_of(item_id), query) for item_id, query in history.visits)
    known = ((row, query) for row, query in visits if row is not None)
    return [Interaction(row, query) for (row, query), _ in groupby(known)]
