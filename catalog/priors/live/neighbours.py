"""Neighbours while a catalog serves: those that a bundle learned, and those that people made since.

Shapes: N items, S items that neighbours speak of.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import scipy.sparse as sp

from catalog.priors.events import newest_distinct
from catalog.priors.live.counts import LiveCounts, grown, parts

__all__ = ["LiveNeighbours"]


class LiveNeighbours:
    """What follows every item: a count divided by the roots of both items' counts, and more."""

    def __init__(
        self,
        fitted_NN: sp.csr_matrix,
        count_N: np.ndarray | None = None,
        *,
        added: float = 0.0,
        shrinkage: float = 0.0,
        least: float = 0.0,
        last: int,
        decay: float,
    ) -> None:
        """
        fitted_NN: the weights of the bundle.
        count_N: how often every item was counted; None where nothing is added to the weights.
        added, least: what is added to each count before its root is taken, and what it is at least.
        shrinkage: what is added to the product of the roots.
        last, decay: how many items of a history ask, and the weight of each against the one after it.
        """
        from catalog.priors import kernels  # not above: it loads numba, before which vLLM's process must have started

        self._kernels = kernels
        self._fitted = parts(fitted_NN)
        self._added, self._shrinkage, self._least, self._last, self._decay = added, shrinkage, least, last, decay
        self._count_N = np.ones(fitted_NN.shape[0]) if count_N is None else np.array(count_N, np.float64)
        self._fitted_root_N = np.sqrt(np.maximum(self._count_N, least) + added)
        self._root_N = self._fitted_root_N.copy()
        self._counts = LiveCounts(fitted_NN.shape[0])

    def make_room(self, items: int) -> None:
        """Know at least so many items."""
        if items > len(self._count_N):
            none = np.sqrt(self._least + self._added)
            self._count_N, self._root_N = grown(self._count_N, items, 0), grown(self._root_N, items, none)
            self._counts.make_room(items)

    def add_item(self, item: int, amount: float) -> None:
        """Count an item; a negative amount takes back."""
        self._count_N[item] += amount
        self._root_N[item] = np.sqrt(max(self._count_N[item], self._least) + self._added)

    def add_pair(self, item: int, other: int, amount: float) -> None:
        """Count that another item followed an item; a negative amount takes back."""
        self._counts.add(item, other, amount)

    @property
    def nbytes(self) -> int:
        """About how many bytes it takes beside what the bundle has."""
        return self._count_N.nbytes + self._fitted_root_N.nbytes + self._root_N.nbytes + self._counts.nbytes

    def said_of(self, history_H: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The weighted sum of the neighbours of a history: items, int64 [S] in any order, and values, float64 [S].

        history_H: the items of the history, int64, oldest first.
        """
        newest = newest_distinct(history_H, self._last)
        return self._sum_of(newest, self._decay ** np.arange(len(newest)))

    def origins(self, history_H: np.ndarray, items: Collection[int]) -> dict[int, int]:
        """The item of a history, int64, oldest first, from which most leads to each of some items where any does."""
        newest = newest_distinct(history_H, self._last)
        most, origin = dict.fromkeys(items, 0.0), {}
        for place, row in enumerate(newest.tolist()):
            item_S, value_S = self._sum_of(newest[place : place + 1], np.array([self._decay**place]))
            said = dict(zip(item_S.tolist(), value_S.tolist(), strict=True))
            for item, value in most.items():
                if said.get(item, 0.0) > value:
                    most[item], origin[item] = said[item], row
        return origin

    def _sum_of(self, newest: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        fitted, counted = (*self._fitted, self._fitted_root_N), (*self._counts.arrays, self._root_N)
        return self._kernels.sum_of_rows(*fitted, *counted, self._shrinkage, newest, weights)
