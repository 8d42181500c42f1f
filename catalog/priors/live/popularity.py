"""Popularity while a catalog serves.

Shapes: N items, C candidates.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from catalog.priors.live.counts import NOTHING, grown

__all__ = ["LivePopularity"]


class LivePopularity:
    """The weights of every item's events together."""

    def __init__(self, events_N: NDArray[np.float64]) -> None:
        from catalog.priors import kernels  # not above: it loads numba, before which vLLM's process must have started

        self._kernels = kernels
        self._items = len(events_N)
        self._events_N = np.array(events_N, np.float64)
        self._log_N = np.log1p(self._events_N)  # kept, as it is asked of all items while somebody types
        self._greatest = self._events_N.max(initial=0)
        self._best: NDArray[np.int64] | None = None

    def make_room(self, items: int) -> None:
        """Know at least so many items."""
        self._items = max(self._items, items)
        self._events_N = grown(self._events_N, items, 0)
        self._log_N = grown(self._log_N, items, 0)

    def add(self, item: int, amount: float) -> None:
        """Count events with an item; a negative amount takes back."""
        before = self._events_N[item]
        after = before + amount
        self._events_N[item] = after if abs(after) > NOTHING else 0.0
        self._log_N[item] = np.log1p(self._events_N[item])
        if amount > 0:
            self._greatest = max(self._greatest, before + amount)
            if self._best is not None and item not in self._best:
                self._best = np.append(self._best, item)  # the best of these are found when they are asked for
        else:
            self._best = None
            if before == self._greatest:
                self._greatest = self._events_N.max(initial=0)

    @property
    def nbytes(self) -> int:
        """How many bytes it takes."""
        return self._events_N.nbytes + self._log_N.nbytes + (0 if self._best is None else self._best.nbytes)

    def best(self, count: int) -> NDArray[np.int64]:
        """The most popular items, so many, in any order; of equally popular ones the first."""
        if self._best is None or len(self._best) < min(count, self._items):
            self._best = np.arange(self._items)
        if len(self._best) > count:
            places = self._kernels.strongest(self._best, self._events_N[self._best], count)
            self._best = self._best[places]
        return self._best

    def of(self, item_C: NDArray[np.int64]) -> NDArray[np.float64]:
        """log(1 + n) of the n events of items, divided by the greatest of all."""
        return np.asarray(self._log_N[item_C] / max(np.log1p(self._greatest), 1))

    def of_all(self) -> NDArray[np.float32]:
        """The same of every item."""
        return self.of(np.arange(self._items)).astype(np.float32)

    def events_of_all(self) -> NDArray[np.float64]:
        """The events of every item."""
        return self._events_N[: self._items].copy()
