"""What one query asks of all items that it may show, beside the ranking of the best: counts, an order, browsing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from server.core.tasks import together
from server.engine.protocol import Ranking, RankRequest
from server.query.guide import Guide
from server.query.listing.counting import Counted, Counting
from server.query.listing.pins import joined, of_pins, placed
from server.query.listing.shelves import merits_of
from server.query.listing.sorting import Sorting
from server.query.listing.variety import Variety
from server.query.plan import QueryPlan
from server.query.reading import Reading
from server.query.types import Counts, Fallback, Group, Query, ResultItem
from server.retrieval.live_catalog import Searcher
from server.retrieval.priors.source import PriorSource

__all__ = ["Listing"]


class Listing:
    """Counts, sorts and groups for one query."""

    def __init__(
        self,
        query: Query,
        reading: Reading,
        plan: QueryPlan,
        searcher: Searcher,
        guide: Guide,
        source: PriorSource,
        max_width: int,
    ) -> None:
        """max_width: items that the engine ranks at once. Raises Problem for columns that cannot be counted or sorted
        by."""
        self._query = query
        self._plan = plan
        self._searcher = searcher
        self._source = source
        self._counting = Counting(query, reading, plan, searcher, guide)
        self._sorting = Sorting(query, searcher, source, max_width)
        self._variety = Variety(query, plan, searcher, self._counting, max_width)
        self._wanted = query.counts
        self._k = query.k
        self._making: asyncio.Task[Counted] | None = None

    @asynccontextmanager
    async def beside(self) -> AsyncIterator[None]:
        """Counts in a thread, where something is to be counted, while the block goes on."""
        if not self._wanted:
            yield
            return
        self._making = asyncio.create_task(self._counting.counted())
        self._making.add_done_callback(lambda done: done.cancelled() or done.exception())  # raised elsewhere too
        try:
            yield
        finally:
            self._making.cancel()

    async def rank(
        self, request: RankRequest, rank: Callable[[RankRequest], Awaitable[Ranking]]
    ) -> tuple[Ranking, Counts | None]:
        """The items of the answer, and what it counts. request: for those that are best. Raises FilterError."""
        pins = self._plan.unshown_pins
        if (pinned := of_pins(request, pins, self._plan.left_out)) is None:
            ranking, counted = await self._others(request, rank)
        else:
            both: list[Any] = await together([self._others(request, rank), rank(pinned)])
            (others, counted), places = both
            ranking = joined(others, places, pins, self._plan.first, request.k)
        if counted is None:
            return ranking, None
        return ranking, counted.counts or await self._counting.of_answer(counted.items, ranking.leaves)

    async def browse(self) -> tuple[list[ResultItem], Counts | None, Fallback | None]:
        """The items of the answer where no engine is asked: in the wanted order, else as they stand on the shelf; what
        it counts, and what it shows in the shelf's place. Raises FilterError."""
        merits = await merits_of(self._query, self._plan.about, self._searcher, self._source)
        counted = await self._counting.counted(merits.only_N)

        async def ask(of_N: NDArray[np.bool_]) -> Ranking:
            leaves = await self._sorting.by_merits(merits, of_N, self._plan.placed)
            return Ranking(tuple(leaves), (0.0,) * len(leaves))

        allowed_N = counted.items.all_N
        others = await self._variety.in_order(allowed_N, self._plan.shown, ask)
        pins = [pin for pin in self._plan.unshown_pins if allowed_N[pin.leaf]]
        leaves = placed(others.leaves, pins, self._plan.first, self._k)
        items = self._plan.unranked_items(leaves, merits.scores(leaves), merits.reasons(leaves))
        return items, counted.counts, merits.fallback(leaves)

    async def groups(self, items: Sequence[ResultItem]) -> list[Group] | None:
        """The groups of the items of an answer; None where it is not grouped."""
        return await self._variety.groups([item.item_id for item in items])

    async def _others(
        self, request: RankRequest, rank: Callable[[RankRequest], Awaitable[Ranking]]
    ) -> tuple[Ranking, Counted | None]:
        """The best of all items but for pins, and what is counted, if anything is."""
        if self._making is None:
            return self._plan.above_min_score(await self._variety.best(request, rank)), None
        if not self._sorting.by_columns:
            ranking = self._plan.above_min_score(await self._variety.best(request, rank))
            return ranking, await self._making
        counted = await self._making
        if counted.counts is None:
            return self._sorting.sorted(await self._variety.best(request, rank)), counted

        async def ask(of_N: NDArray[np.bool_]) -> Ranking:
            return await self._sorting.rank(of_N, self._plan.placed, request, rank)

        return await self._variety.in_order(counted.items.all_N, self._plan.shown, ask), counted
