"""Suggestions while somebody types: queries, values of columns and items, of one catalog. No engine is asked.

Queries are those of many people (`catalog/suggestions`); values and items are those that may be shown now, so they obey
availability, the filter, and the part of the catalog that a key opens.

Shapes: N items of a snapshot, V values of a column.
"""

from __future__ import annotations

import asyncio
import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from heapq import nsmallest
from itertools import islice, pairwise
from threading import Lock
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from catalog.bundle.bundle import Bundle
from catalog.data.events import EventType
from catalog.facets import ColumnCodes, FacetIndex
from catalog.facets.counts import value_name
from catalog.filters import parse
from catalog.filters.unparse import write_name, write_value
from catalog.suggestions import Completion, Completions, key_of
from catalog.text.compounds import words_in
from server.retrieval.eligibility import EligibleItems
from server.storage.protocol import LoggedEvent

__all__ = [
    "COLUMNS",
    "MAX_NEAREST",
    "SuggestedItem",
    "SuggestedValue",
    "Suggester",
    "best_items",
    "shown_within",
    "typed_from",
]

COLUMNS = ("categories", "brand")
"""Whose values are suggested."""
LAST = chr(0x10FFFF)
ASCII_WORD = re.compile(r"\w+", re.ASCII)
MAX_NEAREST = 200
"""Items with the words, the most popular, of which those whose title begins with them come first."""

Popularity: TypeAlias = Callable[[NDArray[np.int64]], NDArray[np.float64]]
Beginning: TypeAlias = tuple[str, int, int]
"""From a word of a value on its key, the value's number, and where in the value the word begins."""


@dataclass(frozen=True, slots=True)
class SuggestedValue:
    """A value of a column that begins with what was typed, or has a word that does.

    filter: an expression for the items that have it. count: how many of them may be shown.
    start, end: what of the value was typed, in Unicode code points.
    """

    column: str
    value: str
    filter: str
    count: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class SuggestedItem:
    """An item by its leaf; start, end: what of its title was typed, both 0 where other words of it were."""

    leaf: int
    start: int
    end: int


class Suggester:
    """What one catalog suggests. It counts queries as events come."""

    def __init__(self, bundle: Bundle) -> None:
        self.completions = Completions(bundle.typed_queries)
        self._beginnings: dict[str, tuple[ColumnCodes, list[Beginning]]] = {}
        self._counts: dict[str, tuple[ColumnCodes, NDArray[np.bool_], NDArray[np.int64]]] = {}
        self._making = Lock()

    def count(self, events: Iterable[LoggedEvent], erased: Iterable[str], now: int) -> None:
        """Count the queries of events, and then take back those of erased users. now: Unix ms. For threads."""
        for event in events:
            if event.query is not None and EventType(event.type).is_interaction:
                self.completions.add(event.user, event.query, min(event.timestamp, now))
        for user in erased:
            self.completions.erase(user)

    def queries(self, typed: str, most: int, allows: Callable[[str], bool]) -> list[Completion]:
        """Queries that complete what was typed. For threads; see `Completions`."""
        return self.completions.complete(typed, most, allows)

    async def load(self, facets: FacetIndex) -> None:
        """Make ready what the first request would wait for."""
        await asyncio.to_thread(lambda: [self._beginnings_of(name, facets) for name in COLUMNS if facets.has(name)])

    def values(
        self, typed: str, most: int, facets: FacetIndex, shown_N: NDArray[np.bool_], *, again: bool = False
    ) -> list[SuggestedValue]:
        """The values with most items of those that begin with what was typed, and behind them of those with a word that
        does; where nothing was typed, of all. For threads.

        again: whether others ask with the very same `shown_N`, so that what it counts is worth remembering.
        """
        beginning = key_of(typed)
        begun: list[tuple[bool, int, str, int, int]] = []
        for name in COLUMNS:
            if facets.has(name):
                codes, beginnings = self._beginnings_of(name, facets)
                count_V = (self._counts_of(name, codes, shown_N) if again else codes.counts(shown_N)).tolist()
                numbers = _begun(beginnings, beginning)
                begun += [(at > 0, -count_V[number], name, number, at) for number, at in numbers if count_V[number] > 0]
        last = nsmallest(most, begun)[-1][:2] if begun else (False, 0)
        found = []
        for later, count, name, number, start in begun:
            if (later, count) <= last:  # of all others no names are needed
                value = value_name(facets.codes(name).values[number].as_py())
                end = start if not beginning else _end_of(value, start, beginning)
                expression = f"{write_name(name)} = {write_value(value)}"
                found.append((later, count, SuggestedValue(name, value, expression, -count, start, end)))
        found.sort(key=lambda one: (one[0], one[1], one[2].value, one[2].column))
        return [value for _, _, value in found[:most]]

    def _counts_of(self, name: str, codes: ColumnCodes, shown_N: NDArray[np.bool_]) -> NDArray[np.int64]:
        kept = self._counts.get(name)
        if kept is None or kept[0] is not codes or kept[1] is not shown_N:
            kept = self._counts[name] = (codes, shown_N, codes.counts(shown_N))
        return kept[2]

    def _beginnings_of(self, name: str, facets: FacetIndex) -> tuple[ColumnCodes, list[Beginning]]:
        codes = facets.codes(name)
        with self._making:
            made = self._beginnings.get(name)
            if made is None or made[0] is not codes:
                made = self._beginnings[name] = (codes, sorted(_beginnings(map(value_name, codes.values.to_pylist()))))
            return made


def shown_within(eligible: EligibleItems, expression: str | None) -> NDArray[np.bool_]:
    """The items that may be shown and meet a filter, bool [N]. For threads. Raises FilterError."""
    return eligible.shown_N if expression is None else eligible.shown_N & eligible.met(parse(expression))


def best_items(
    typed: str, most: int, wanted_N: NDArray[np.bool_], popularity: Popularity, titles: Callable[[int], str]
) -> list[SuggestedItem]:
    """The most popular of some items, but those whose title begins with what was typed in front, and behind these those
    of whose title a word does. For threads."""
    leaf_K = _most_popular(np.flatnonzero(wanted_N), popularity)
    beginning = key_of(typed)
    if not beginning:
        return [SuggestedItem(leaf, 0, 0) for leaf in leaf_K[:most].tolist()]
    ranked = []
    for place, leaf in enumerate(leaf_K.tolist()):
        start = typed_from(titles(leaf), beginning)
        ranked.append((start is None, start != 0, place, leaf, start))
    ranked.sort()
    return [
        SuggestedItem(leaf, 0, 0)
        if start is None
        else SuggestedItem(leaf, start, _end_of(titles(leaf), start, beginning))
        for _, _, _, leaf, start in ranked[:most]
    ]


def _most_popular(leaf_C: NDArray[np.int64], popularity: Popularity) -> NDArray[np.int64]:
    """The MAX_NEAREST most popular of some leaves, int64 [K], the first where they are equal."""
    popularity_C = popularity(leaf_C)
    if len(leaf_C) > MAX_NEAREST:
        least = np.partition(popularity_C, -MAX_NEAREST)[-MAX_NEAREST]
        leaf_C, popularity_C = leaf_C[popularity_C >= least], popularity_C[popularity_C >= least]
    return leaf_C[np.argsort(-popularity_C, kind="stable")[:MAX_NEAREST]]


def _beginnings(values: Iterable[str]) -> Iterator[Beginning]:
    for number, value in enumerate(values):
        for word in words_in(value):
            yield key_of(value[word.start :]), number, word.start


def _begun(beginnings: Sequence[Beginning], beginning: str) -> list[tuple[int, int]]:
    """The numbers of the values with a word that begins so, each once, and where the first such word begins."""
    low, high = bisect_left(beginnings, (beginning,)), bisect_left(beginnings, (beginning + LAST,))
    found: dict[int, int] = {}
    for _, number, start in beginnings[low:high]:
        found[number] = min(start, found.get(number, start))
    return [*found.items()]


def typed_from(title: str, beginning: str) -> int | None:
    """Where the first word of a title is from which on it begins with what was typed; None where there is none."""
    key = _key_of_title(title)
    if title.isascii():  # its words are those of its key
        place = f" {key}".find(f" {beginning}")
        return None if place < 0 else next(islice(ASCII_WORD.finditer(title), key.count(" ", 0, place), None)).start()
    if beginning not in key:
        return None
    return next((start for start, own in _words_of_title(title) if own.startswith(beginning)), None)


@lru_cache(maxsize=20_000)  # some 5 MB: the popular ones come again and again
def _key_of_title(title: str) -> str:
    return key_of(title)


@lru_cache(maxsize=5_000)
def _words_of_title(title: str) -> Sequence[tuple[int, str]]:
    """Where each word of a title begins, and the key of the title from there on."""
    starts = [word.start for word in words_in(title)]
    keys = [key_of(title[start:end]) for start, end in pairwise([*starts, len(title)])]
    if starts and " ".join(filter(None, keys)) != key_of(title[starts[0] :]):  # as signs become letters, such as №
        return [(start, key_of(title[start:])) for start in starts]
    return [(start, " ".join(filter(None, keys[place:]))) for place, start in enumerate(starts)]


def _end_of(text: str, start: int, beginning: str) -> int:
    """Behind the shortest part from `start` on that has the key of what was typed."""
    ends = range(start + 1, len(text) + 1)
    return next((end for end in ends if len(key_of(text[start:end])) >= len(beginning)), len(text))
