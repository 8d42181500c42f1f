"""What an answer counts, in a thread beside the ranking: the total, and the facets of the wanted columns.

Recommendations count what they may show. A search counts what of that has its words: all of them, or some where none
has all. Where nothing has any, or nobody knows words, the items of the answer are counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from catalog.facets import UnknownColumn
from server.core import errors
from server.query.guide import Guide
from server.query.plan import QueryPlan
from server.query.reading import Reading
from server.query.types import CountedSet, Counts, Query
from server.retrieval.facets import CountedItems, counted_items, facets_of
from server.retrieval.live_catalog import Searcher

__all__ = ["Counted", "Counting"]

MAX_FACETS = 50
"""Columns that one answer counts."""


@dataclass(frozen=True, slots=True, eq=False)
class Counted:
    """The items that are counted, and what they are; None where only the items of the answer can be counted."""

    items: CountedItems
    counts: Counts | None


class Counting:
    """Counts for one query."""

    def __init__(self, query: Query, reading: Reading, plan: QueryPlan, searcher: Searcher, guide: Guide) -> None:
        """Raises Problem for a column that is not there or cannot be counted."""
        self._query = query
        self._reading = reading
        self._plan = plan
        self._searcher = searcher
        self._guide = guide
        self._columns = _columns(query, searcher)

    async def of_answer(self, allowed: CountedItems, leaves: Sequence[int]) -> Counts:
        """Counts of the items of an answer, where nobody knows what else matches. leaves: of the answer."""
        answered_N = np.zeros(len(allowed.base_N), np.bool_)
        answered_N[list(leaves)] = True
        return await asyncio.to_thread(self._counts, allowed.only(answered_N), "answer")

    async def counted(self, only_N: NDArray[np.bool_] | None = None) -> Counted:
        """What is counted. only_N: the only items that can be; None for all. Raises FilterError."""
        if self._query.kind != "search":
            return await asyncio.to_thread(self._count_allowed, only_N)
        match_N = await self._guide.matching()
        return await asyncio.to_thread(self._count_matching, match_N)

    def _count_allowed(self, only_N: NDArray[np.bool_] | None) -> Counted:
        allowed = self.allowed()
        if only_N is not None:
            allowed = allowed.only(only_N)
        return Counted(allowed, self._counts(allowed, "allowed"))

    def _count_matching(self, match_N: NDArray[np.uint8] | None) -> Counted:
        """match_N: as `Guide.matching` gives it."""
        allowed = self.allowed()
        level = 0 if match_N is None else int(match_N[allowed.all_N].max(initial=0))  # all words, or else some
        if match_N is None or level == 0:
            return Counted(allowed, None)
        counted_N = match_N >= level
        counted_N[[pin.leaf for pin in self._plan.pins]] = True
        matching = allowed.only(counted_N)
        return Counted(matching, self._counts(matching, "matching"))

    def allowed(self) -> CountedItems:
        """What the query allows. For threads. Raises FilterError."""
        return counted_items(
            self._searcher.eligible,
            self._searcher.facets,
            self._query.filter,
            self._reading.further_filter,
            self._plan.allow,
            self._plan.left_out,
        )

    def _counts(self, counted: CountedItems, of: CountedSet) -> Counts:
        query = self._query
        facets = facets_of(
            counted,
            self._searcher.facets,
            self._columns,
            query.max_facet_values,
            disjunctive=query.disjunctive_facets,
        )
        return Counts(int(counted.all_N.sum()), of, facets)


def _columns(query: Query, searcher: Searcher) -> Mapping[str, str]:
    """The columns of the wanted facets, by the names under which they are wanted. Raises Problem."""
    index = searcher.facets
    columns: dict[str, str] = {}
    for place, name in enumerate(query.facets or ()):
        try:
            columns |= {own: own for own in index.names} if name == "*" else {name: index.find(name)}
        except UnknownColumn as unknown:
            raise errors.invalid_parameter(f"facets.{place}", "unknown_column", str(unknown)) from unknown
    if len(columns) > MAX_FACETS:
        message = f"{len(columns)} columns would be counted, at most {MAX_FACETS} are: name those that you show"
        raise errors.invalid_parameter("facets", "too_many_facets", message)
    return columns
