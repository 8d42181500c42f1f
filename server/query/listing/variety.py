"""An answer of which no value has too many items, and whose items differ as much as is wanted.

Shapes: N items of a snapshot.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from server.engine.protocol import Ranking, RankRequest
from server.query.listing.caps import Ask, Tally, caps_of, filled, groups_of
from server.query.listing.counting import Counting
from server.query.listing.diversity import MIN_POOL, POOL_FACTOR, varied
from server.query.plan import QueryPlan
from server.query.types import Group, Query
from server.retrieval.live_catalog import Searcher

__all__ = ["Variety"]

Mask: TypeAlias = NDArray[np.bool_]
Rank: TypeAlias = Callable[[RankRequest], Awaitable[Ranking]]

MAX_LISTED = 2_000
"""Leaves that a request names as those that it does not want; more are a filter bitmap of their own."""


class Variety:
    """Caps and diversity for one query."""

    def __init__(self, query: Query, plan: QueryPlan, searcher: Searcher, counting: Counting, max_width: int) -> None:
        """max_width: items that the engine ranks at once. Raises Problem for columns that cannot be capped."""
        self._query = query
        self._plan = plan
        self._searcher = searcher
        self._counting = counting
        self._max_width = max_width
        self._caps = caps_of(query, searcher.facets)
        self._allowed_N: Mask | None = None

    async def best(self, request: RankRequest, rank: Rank) -> Ranking:
        """The best items, at most `request.k`. Raises FilterError."""
        k, diversity = request.k, self._query.diversity
        if not self._caps and diversity == 0:
            return await rank(request)
        pool = k if diversity == 0 else min(max(POOL_FACTOR * k, MIN_POOL), self._max_width)
        width = max(request.width, pool)

        async def ask(out_N: Mask | None, rounds: int) -> tuple[Ranking, bool]:
            wide = min(width << rounds, max(width, self._max_width))
            async with self._without(replace(request, k=wide, width=wide), out_N) as others:
                ranking = await rank(others)
            wanted = self._plan.above_min_score(ranking)
            return wanted, len(wanted.leaves) < wide

        found = await self._filled(k, pool, self._plan.shown, ask)
        # of a later round, a wider search may have found better ones
        found = found.at(sorted(range(len(found.leaves)), key=lambda place: -found.scores[place]))
        if diversity == 0:
            return found
        codes_PL = self._searcher.snapshot.codes_NL[list(found.leaves)]
        return found.at(await asyncio.to_thread(varied, found.scores, codes_PL, diversity, k))

    async def in_order(
        self, counted_N: Mask, shown: Sequence[int], ask: Callable[[Mask], Awaitable[Ranking]]
    ) -> Ranking:
        """The first items of an order. ask: for the first of some items, of all those that are counted."""
        if not self._caps:
            return await ask(counted_N)
        k = self._query.k

        async def of_the_others(out_N: Mask | None, _: int) -> tuple[Ranking, bool]:
            ranking = await ask(counted_N if out_N is None else counted_N & ~out_N)
            return ranking, len(ranking.leaves) < k

        return await self._filled(k, k, shown, of_the_others)

    async def groups(self, item_ids: Sequence[str]) -> list[Group] | None:
        """The groups of the items of an answer; None where it is not grouped. Raises FilterError."""
        if self._query.group_by is None:
            return None
        rows = [self._searcher.items.row_of(item_id) for item_id in item_ids]
        column = self._caps[0].column

        def make() -> list[Group]:
            leaves = [row for row in rows if row is not None]
            return groups_of(self._searcher.facets.codes(column), leaves, item_ids, self._allowed())

        return await asyncio.to_thread(make)

    async def _filled(self, k: int, most: int, shown: Sequence[int], ask: Ask) -> Ranking:
        if not self._caps:
            ranking, _ = await ask(None, 0)
            return ranking.at(range(min(most, len(ranking.leaves))))
        return await filled(await asyncio.to_thread(self._tally, shown), k, most, ask)

    def _tally(self, shown: Sequence[int]) -> Tally:
        """Of the pages before, and of all pins, for which the others leave room. For threads. Raises FilterError."""
        tally = Tally(self._caps, self._searcher.facets, len(self._searcher.items))
        tally.place(shown)
        allowed_N = self._allowed() if self._plan.unshown_pins else None
        tally.place([pin.leaf for pin in self._plan.unshown_pins if allowed_N is not None and allowed_N[pin.leaf]])
        return tally

    @asynccontextmanager
    async def _without(self, request: RankRequest, out_N: Mask | None) -> AsyncIterator[RankRequest]:
        """The request for all items but for some."""
        if out_N is None:
            yield request
            return
        listed = await asyncio.to_thread(self._listed, request, out_N)
        if len(listed) <= max(MAX_LISTED, len(request.deny)):
            yield replace(request, deny=listed)
            return
        left_N = await asyncio.to_thread(lambda: self._allowed() & ~out_N)
        async with self._searcher.eligible.only(left_N) as filter_id:
            yield replace(request, filter_id=filter_id)

    def _listed(self, request: RankRequest, out_N: Mask) -> list[int]:
        """The leaves that the request must not find, of those that it would."""
        denied_N = out_N & self._allowed()
        denied_N[list(request.deny)] = True
        leaves: list[int] = np.flatnonzero(denied_N).tolist()
        return leaves

    def _allowed(self) -> Mask:
        """For threads. Raises FilterError."""
        if self._allowed_N is None:
            self._allowed_N = self._counting.allowed().all_N
        return self._allowed_N
