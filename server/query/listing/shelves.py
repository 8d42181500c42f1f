"""Shelves that no model fills: what is popular, trends, is new, or was taken together.

Each says of every item how well it stands on the shelf. Items of which it says the same come in the order of their
popularity.

Shapes: N items of a snapshot, K some of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from server.query.types import Fallback, Query, Reason, Shelf
from server.retrieval.live_catalog import Searcher
from server.retrieval.priors.source import PriorSource

__all__ = ["Merits", "merits_of"]

UNRANKED = Reason("general", None, "In the catalog", "popularity")
POPULAR = Reason("general", None, "Chosen by many", "popularity")
TRENDING = Reason("general", None, "Chosen more than usual lately", "popularity")
NEW = Reason("general", None, "New in the catalog", "popularity")


@dataclass(frozen=True, slots=True, eq=False)
class Merits:
    """How well items stand on a shelf.

    value_N: float64, the greater the further in front; None where popularity alone counts.
    popularity_of: how popular some leaves are, from 0 to 1, float64 [K].
    only_N: the items that the shelf has; None for all.
    """

    shelf: Shelf
    value_N: NDArray[np.float64] | None
    popularity_of: Callable[[NDArray[np.int64]], NDArray[np.float64]]
    only_N: NDArray[np.bool_] | None
    reason: Reason

    def keys(self, row_K: NDArray[np.int64]) -> list[NDArray[np.float64]]:
        """What orders some items, [K] each, smaller values in front."""
        popular_K = self.popularity_of(row_K)
        return [-popular_K] if self.value_N is None else [-self.value_N[row_K], -popular_K]

    def scores(self, leaves: Sequence[int]) -> list[float]:
        """The scores of the items of an answer: of new items, as of popular ones, how popular they are."""
        row_K = np.array(leaves, np.int64)
        told = self.popularity_of(row_K) if self.value_N is None or self.shelf == "latest" else self.value_N[row_K]
        scores: list[float] = told.tolist()
        return scores

    def reasons(self, leaves: Sequence[int]) -> list[Reason]:
        """Why each item of an answer is there."""
        row_K = np.array(leaves, np.int64)
        popular = [POPULAR if popular > 0 else UNRANKED for popular in self.popularity_of(row_K).tolist()]
        if self.value_N is None:
            return popular
        own = self.value_N[row_K].tolist()
        return [self.reason if value > 0 else other for value, other in zip(own, popular, strict=True)]

    def fallback(self, leaves: Sequence[int]) -> Fallback | None:
        """What an answer shows in the shelf's place; None where any of its items stands there by its own merit."""
        if self.shelf != "trending" or self.value_N is None or not leaves:
            return None
        return None if (self.value_N[list(leaves)] > 0).any() else "popular"


async def merits_of(query: Query, about: Sequence[int], searcher: Searcher, source: PriorSource) -> Merits:
    """How well every item stands on the shelf that a query asks for. about: leaves of the items that it names.

    Raises PriorsError.
    """
    state, shelf = searcher.priors, query.shelf
    popularity_of = await source.popularity(state)
    items = len(searcher.items)
    if shelf == "trending":
        trend_N = np.zeros(items) if state is None else await source.trending(state)
        return Merits(shelf, trend_N, popularity_of, None, TRENDING)
    if shelf == "latest":
        newness_N = np.maximum(searcher.snapshot.serial_N - source.published_items() + 1, 0).astype(np.float64)
        return Merits(shelf, newness_N, popularity_of, None, NEW)
    if shelf == "bought_together":
        taken_N = np.zeros(items) if state is None else await source.together(about, state)
        reason = Reason("similar", query.items[0], "People who took this took it too", "neighbours")
        return Merits(shelf, taken_N, popularity_of, taken_N > 0, reason)
    return Merits("popular", None, popularity_of, None, POPULAR)
