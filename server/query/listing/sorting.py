"""An answer in the order of columns: all items that the query counts, of which the engine ranks those that are shown.

Items that are equal in the columns come in the order of relevance. Of more than MAX_TIED that are equal the most
popular ones are ranked.

Shapes: N items of a snapshot, K some of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from catalog.facets import RELEVANCE, FacetIndex, SortFault, SortKey, first_of, places, read_sort
from server.core import errors
from server.engine.protocol import Ranking, RankRequest
from server.query.listing.shelves import Merits
from server.query.types import Query
from server.retrieval.live_catalog import Searcher
from server.retrieval.priors.source import PriorSource

__all__ = ["Sorting"]

MAX_TIED = 10_000
"""Items that are equal in the columns and ranked."""


@dataclass(frozen=True, slots=True)
class Window:
    """What a page shows of an order by columns. sure: leaves that it does. tied: leaves of which the best fill it."""

    sure: NDArray[np.int64]
    tied: NDArray[np.int64]


class Sorting:
    """Sorts for one query.

    by_columns: whether the order is another one than that of relevance.
    """

    def __init__(self, query: Query, searcher: Searcher, source: PriorSource, most: int) -> None:
        """most: items that the engine ranks at once. Raises Problem for an order that cannot be."""
        self._k = query.k
        self._searcher = searcher
        self._source = source
        self._most = most
        keys = _keys(query.sort_by, searcher.facets)
        at = next((place for place, key in enumerate(keys) if key.column == RELEVANCE), len(keys))
        self._before, self._after = keys[:at], keys[at + 1 :]
        self.by_columns = at > 0

    async def by_merits(self, merits: Merits, counted_N: NDArray[np.bool_], placed: Collection[int]) -> list[int]:
        """The leaves of the page, where the items that stand best on a shelf are the most relevant ones.

        counted_N: the items that are sorted. placed: leaves on the pages before, and of pins.
        """

        def sort() -> list[int]:
            row_K = _without(counted_N, placed)
            before_K, after_K = (places(keys, self._searcher.facets, row_K) for keys in (self._before, self._after))
            first = first_of([before_K, *merits.keys(row_K), after_K, self._ids()[row_K]], self._k)
            leaves: list[int] = row_K[first].tolist()
            return leaves

        return await asyncio.to_thread(sort)

    async def rank(
        self,
        counted_N: NDArray[np.bool_],
        placed: Collection[int],
        request: RankRequest,
        rank: Callable[[RankRequest], Awaitable[Ranking]],
    ) -> Ranking:
        """The page, in its order. counted_N, placed: as in `by_merits`. request: the query, as it is ranked else."""
        window = await asyncio.to_thread(self._window, counted_N, placed)
        chosen, missing = np.concatenate([window.sure, window.tied]), self._k - len(window.sure)
        if len(chosen) > self._most:
            tied = await self._most_popular(window.tied)
            best = await rank(_among(request, tied, missing, self._most))
            chosen = np.concatenate([window.sure, np.array(best.leaves, np.int64)])
        if len(chosen) == 0:
            return Ranking((), (), () if request.by_level else None)
        ranking = await rank(_among(request, chosen, len(chosen), len(chosen)))
        return await asyncio.to_thread(self.sorted, ranking)

    def sorted(self, ranking: Ranking) -> Ranking:
        """The first items of a ranking in the order of the columns; those that are equal stay as they are."""
        row_K = np.array(ranking.leaves, np.int64)
        order = np.argsort(places(self._before, self._searcher.facets, row_K), kind="stable")[: self._k].tolist()
        return ranking.at(order)

    def _window(self, counted_N: NDArray[np.bool_], placed: Collection[int]) -> Window:
        row_K = _without(counted_N, placed)
        if len(row_K) <= self._k:
            return Window(row_K, row_K[:0])
        place_K = places(self._before, self._searcher.facets, row_K)
        last = np.partition(place_K, self._k - 1)[self._k - 1]
        return Window(row_K[place_K < last], row_K[place_K == last])

    async def _most_popular(self, row_K: NDArray[np.int64]) -> NDArray[np.int64]:
        if len(row_K) <= MAX_TIED:
            return row_K
        popularity_of = await self._source.popularity(self._searcher.priors)

        def choose() -> NDArray[np.int64]:
            return row_K[first_of([-popularity_of(row_K), self._ids()[row_K]], MAX_TIED)]

        return await asyncio.to_thread(choose)

    def _ids(self) -> NDArray[np.int32]:
        """The place of the id of every item among all ids, int32 [N]."""
        return self._searcher.facets.codes("item_id").code_E


def _among(request: RankRequest, leaves: NDArray[np.int64], k: int, width: int) -> RankRequest:
    """The request for the best of some allowed items."""
    allow = np.sort(leaves).tolist()
    return replace(request, allow=allow, k=k, width=max(k, width), deny=(), filter_id=None)


def _without(counted_N: NDArray[np.bool_], placed: Collection[int]) -> NDArray[np.int64]:
    left_N = counted_N.copy()
    left_N[list(placed)] = False
    return np.flatnonzero(left_N)


def _keys(sort_by: str | None, index: FacetIndex) -> tuple[SortKey, ...]:
    try:
        return () if sort_by is None else read_sort(sort_by, index)
    except SortFault as wrong:
        raise errors.invalid_parameter("sort_by", wrong.code, str(wrong)) from wrong
