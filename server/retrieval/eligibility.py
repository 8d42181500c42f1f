"""What may be shown. Decided here and nowhere else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from catalog.filters import parse
from catalog.snapshot import Snapshot
from server.engine.protocol import Engine
from server.retrieval.filter_cache import FilterCache

__all__ = ["EligibleItems"]

EVERYTHING_SHOWN = ""
"""The key of the set without a filter."""


class EligibleItems:
    """What of one state of the catalog may be shown: items that are present and available, of those the ones that a
    filter lets through.

    installed: the number under which the engine holds the state's index. numbers: for new filter bitmaps.
    """

    def __init__(self, snapshot: Snapshot, engine: Engine, installed: int, numbers: Iterator[int]) -> None:
        self._items = snapshot.items
        available = pc.fill_null(snapshot.items.table["available"], True).to_numpy(zero_copy_only=False)
        self._shown_N: NDArray[np.bool_] = available & snapshot.present_N
        self.shown = int(self._shown_N.sum())
        self.present = int(snapshot.present_N.sum())
        self._sets = FilterCache(engine, installed, len(snapshot.index), numbers)

    @asynccontextmanager
    async def limit(self, expression: str | None) -> AsyncIterator[int | None]:
        """The engine's filter bitmap of what may be shown to a request with this filter; None: every leaf.

        Raises FilterError for an expression that is none or does not fit the items, EngineError.
        """
        if expression is None and self.shown == len(self._items):
            yield None
            return
        wanted = None if expression is None else parse(expression)

        if wanted is None:
            holding = self._sets.hold(EVERYTHING_SHOWN, self._shown_N)
        else:
            holding = self._sets.hold(wanted.text, lambda: self._shown_N & wanted.mask(self._items))
        async with holding as filter_id:
            yield filter_id

    def leaves_of(self, item_ids: Iterable[str]) -> list[int]:
        """The leaves of those items that the catalog has, strictly increasing."""
        rows = {self._items.row_of(item_id) for item_id in item_ids}
        return sorted(row for row in rows if row is not None)

    async def retire(self) -> None:
        """Have the engine forget the filter bitmaps."""
        await self._sets.retire()
