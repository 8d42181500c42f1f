"""What may be shown. Decided here and nowhere else."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from copy import copy
from threading import Lock

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from catalog.errors import FilterError
from catalog.filters import Filter, parse
from catalog.snapshot import Snapshot
from server.core import errors
from server.core.errors import Problem
from server.engine.protocol import Engine
from server.retrieval.filter_cache import FilterCache

__all__ = ["EligibleItems"]

EVERYTHING_SHOWN = ""
"""The key of the set without a filter."""
BEHIND_NAME = "\ud800"
"""Behind a part's name in the keys of its sets: half a surrogate pair, which no filter has."""
MAX_PARTS = 256
PARTS_BYTES = 1 << 27
"""Of the parts that are kept, the least recently used of which are forgotten."""
MAX_MASKS = 64
MASK_BYTES = 1 << 26


class EligibleItems:
    """What of one state of the catalog may be shown: items that are present and available, of those the ones that a
    filter lets through.

    installed: the number under which the engine holds the state's index. numbers: for new filter bitmaps.
    """

    def __init__(self, snapshot: Snapshot, engine: Engine, installed: int, numbers: Iterator[int]) -> None:
        self._items = snapshot.items
        self._inside_N: NDArray[np.bool_] | None = None
        self._parts: dict[str, asyncio.Future[EligibleItems]] = {}
        self._name = EVERYTHING_SHOWN
        available = pc.fill_null(snapshot.items.table["available"], True).to_numpy(zero_copy_only=False)
        self._shown_N: NDArray[np.bool_] = available & snapshot.present_N
        self.shown = int(self._shown_N.sum())
        self._present_N = snapshot.present_N
        self.present = int(snapshot.present_N.sum())
        self._masks: OrderedDict[str, NDArray[np.bool_]] = OrderedDict()
        self._using_masks = Lock()
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
            holding = self._sets.hold(self._name, self._shown_N)
        else:
            holding = self._sets.hold(f"{self._name}{wanted.text}", lambda: self._shown_N & self.met(wanted))
        async with holding as filter_id:
            yield filter_id

    @asynccontextmanager
    async def only(self, member_N: NDArray[np.bool_]) -> AsyncIterator[int]:
        """The engine's filter bitmap of some of what may be shown, for one request. member_N: which items, bool [N].

        Raises EngineError.
        """
        async with self._sets.once(member_N & self._shown_N) as filter_id:
            yield filter_id

    @asynccontextmanager
    async def part(self, filter_id: int | None, name: str, member_N: NDArray[np.bool_]) -> AsyncIterator[int]:
        """The engine's filter bitmap of some leaves of another one that is held, which stays for later requests.

        name: of the part, the same for the same leaves only. Raises EngineError.
        """
        async with self._sets.hold(f"{BEHIND_NAME}{filter_id}{BEHIND_NAME}{name}", member_N) as number:
            yield number

    def members(self, filter_id: int | None) -> NDArray[np.bool_]:
        """The leaves of a filter bitmap that is held, bool [N]; None: every leaf."""
        return np.ones(self.size, np.bool_) if filter_id is None else self._sets.members(filter_id)

    @property
    def size(self) -> int:
        """How many items there are, shown or not."""
        return len(self._items)

    async def within(self, expression: str | None) -> EligibleItems:
        """The part of them for whoever may see only items that meet a filter; None for all.

        Raises Problem where the filter does not fit the catalog: then nothing may be seen.
        """
        if expression is None:
            return self
        made = self._parts.pop(expression, None)
        if made is None or (made.done() and made.exception() is not None):
            made = asyncio.ensure_future(asyncio.to_thread(self._part, expression))
            made.add_done_callback(lambda done: done.cancelled() or done.exception())  # whoever waits is told
        self._parts[expression] = made
        while len(self._parts) > max(4, min(MAX_PARTS, PARTS_BYTES // (2 * len(self._items) + 1))):
            del self._parts[next(iter(self._parts))]
        try:
            return await asyncio.shield(made)
        except FilterError as error:
            detail = f"its filter does not fit the items that there are: {error}; an administrator makes another key"
            raise Problem(errors.KEY_UNUSABLE, detail) from error

    def has(self, leaf: int) -> bool:
        """Whether the item belongs to this part, shown or not."""
        return self._inside_N is None or bool(self._inside_N[leaf])

    def rows(self, part: Filter | None) -> NDArray[np.int64]:
        """The items of this part that the catalog has, shown or not, of those the ones that meet a filter; strictly
        increasing. For threads. Raises FilterError."""
        wanted_N = self._present_N if self._inside_N is None else self._present_N & self._inside_N
        return np.flatnonzero(wanted_N if part is None else wanted_N & self.met(part))

    def _part(self, expression: str) -> EligibleItems:
        part = copy(self)
        part._inside_N = self.met(parse(expression))
        part._shown_N = self._shown_N & part._inside_N
        part.shown = int(part._shown_N.sum())
        part._name = f"{expression}{BEHIND_NAME}"
        return part

    @property
    def shown_N(self) -> NDArray[np.bool_]:
        """Which items may be shown, whatever a filter says."""
        return self._shown_N

    def met(self, part: Filter) -> NDArray[np.bool_]:
        """Which items meet a filter or a part of one, bool [N]. For threads: the first time it may take long, and some
        are remembered. Raises FilterError."""
        with self._using_masks:
            if (known_N := self._masks.get(part.text)) is not None:
                self._masks.move_to_end(part.text)
                return known_N
        met_N = part.mask(self._items)
        with self._using_masks:
            self._masks[part.text] = met_N
            while len(self._masks) > max(4, min(MAX_MASKS, MASK_BYTES // max(len(met_N), 1))):
                self._masks.popitem(last=False)
        return met_N

    def leaves_of(self, item_ids: Iterable[str]) -> list[int]:
        """The leaves of those items that the catalog has, strictly increasing."""
        rows = {self._items.row_of(item_id) for item_id in item_ids}
        return sorted(row for row in rows if row is not None)

    async def retire(self) -> None:
        """Have the engine forget the filter bitmaps."""
        await self._sets.retire()
