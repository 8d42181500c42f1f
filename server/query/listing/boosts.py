"""Boosts: items that meet a condition are so many times as likely, which adds the factor's logarithm to their scores.

Items of one boost keep their order among themselves. So each such part of the items is ranked by itself, and the best
of all parts, with what the boost adds, are the best of all: at every depth, guided or not.

Shapes: N items of a snapshot, S sums that boosts may add.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from catalog.filters import parse
from server.core.tasks import together
from server.engine.protocol import Ranking, RankRequest
from server.retrieval.eligibility import EligibleItems
from server.storage.overrides import Boost

__all__ = ["MAX_BOOSTS", "Boosts"]

MAX_BOOSTS = 3
"""Of one query, the first that apply: with n of them it is ranked in up to 2 to the power of n parts."""

Rank: TypeAlias = Callable[[RankRequest], Awaitable[Ranking]]


class Boosts:
    """The boosts of one query."""

    def __init__(self, boosts: Sequence[Boost], eligible: EligibleItems) -> None:
        self._boosts = [(parse(boost.condition), math.log(boost.factor)) for boost in boosts[:MAX_BOOSTS]]
        self._eligible = eligible
        self._name = repr([(condition.text, added) for condition, added in self._boosts])
        self._added: tuple[NDArray[np.float64], NDArray[np.uint8]] | None = None

    def added(self, leaves: Sequence[int]) -> list[float]:
        """What the boosts add to the scores of the leaves of a ranking."""
        if self._added is None:
            return [0.0] * len(leaves)
        sum_S, which_N = self._added
        added: list[float] = sum_S[which_N[list(leaves)]].tolist()
        return added

    def over(self, rank: Rank) -> Rank:
        """What ranks items with their boosts. rank: without."""
        if not self._boosts:
            return rank

        async def boosted(request: RankRequest) -> Ranking:
            parts = await asyncio.to_thread(lambda: list(self._parts(request)))
            async with AsyncExitStack() as stack:
                requests = []
                for added, part in parts:
                    if isinstance(part, list):
                        requests.append(replace(request, allow=part))
                    else:
                        key = f"{self._name} {added}"
                        filter_id = await stack.enter_async_context(self._eligible.part(request.filter_id, key, part))
                        requests.append(replace(request, filter_id=filter_id))
                named = [replace(one, request_id=f"{one.request_id}-part-{at}") for at, one in enumerate(requests)]
                rankings = await together(map(rank, named))
            return _best([(ranking, added) for ranking, (added, _) in zip(rankings, parts, strict=True)], request)

        return boosted

    def _parts(self, request: RankRequest) -> Iterator[tuple[float, list[int] | NDArray[np.bool_]]]:
        """What boosts add, and to which items, as the request's `allow` or as a bitmap. For threads. Raises
        FilterError."""
        sum_S, which_N = self._sums()
        if request.allow is not None:
            leaf_A = np.array(request.allow, np.int64)
            which_A = which_N[leaf_A]
            for place in np.unique(which_A):
                yield float(sum_S[place]), leaf_A[which_A == place].tolist()
            return
        member_N = self._eligible.members(request.filter_id)
        for place in np.flatnonzero(np.bincount(which_N[member_N], minlength=len(sum_S))):
            yield float(sum_S[place]), member_N & (which_N == place)

    def _sums(self) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
        """What boosts may add together, [S], and which of these each item has, [N]."""
        if self._added is None:
            met_N, sums = np.zeros(self._eligible.size, np.uint8), np.zeros(1)
            for place, (condition, added) in enumerate(self._boosts):
                met_N += self._eligible.met(condition).astype(np.uint8) << place
                sums = np.concatenate([sums, sums + added])
            sum_S, which = np.unique(sums, return_inverse=True)
            self._added = sum_S, which.astype(np.uint8)[met_N]
        return self._added


def _best(parts: Sequence[tuple[Ranking, float]], request: RankRequest) -> Ranking:
    """The best items of rankings of different items, each with what is added to its scores."""
    both = Ranking((), (), () if request.by_level else None)
    for ranking, added in parts:
        both = both.then(replace(ranking, scores=tuple(score + added for score in ranking.scores)))
    order = sorted(range(len(both.leaves)), key=lambda place: (-both.scores[place], both.leaves[place]))
    return both.at(order[: request.k])
