"""Leaf sets in the engine: installed when first asked for, and the least recently used forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import numpy as np
from numpy.typing import NDArray

from server.engine.protocol import Engine
from server.leases import Leased

__all__ = ["LeafSets"]

MEMORY_BYTES = 1 << 28
BYTES_A_LEAF = 4
MOST = 256


class LeafSets:
    """Sets of the leaves of one snapshot, by whatever key they are asked for.

    numbers: where new sets get their numbers; shared by all that install into this snapshot.
    """

    def __init__(self, engine: Engine, snapshot: int, leaves: int, numbers: Iterator[int]) -> None:
        self._engine = engine
        self._snapshot = snapshot
        self._numbers = numbers
        self._capacity = max(4, min(MOST, MEMORY_BYTES // (BYTES_A_LEAF * leaves)))
        self._sets: dict[str, Leased[asyncio.Future[int]]] = {}
        """The most recently used last."""

    @asynccontextmanager
    async def hold(self, key: str, members: Callable[[], NDArray[np.bool_]]) -> AsyncIterator[int]:
        """The number of the set under `key`, which is not forgotten inside.

        members: makes the set, bool [N]; called in a thread, if the engine does not have it. What it raises is raised
        here, to all who wait for it.
        """
        held = self._sets.pop(key, None)
        if held is None:
            held = Leased(asyncio.ensure_future(self._install(members)))
        self._sets[key] = held
        with held.use() as installed:
            try:
                number = await asyncio.shield(installed)
            except Exception:
                if self._sets.get(key) is held:
                    del self._sets[key]
                raise
            await self._make_room()
            yield number

    async def retire(self) -> None:
        """Forget all, once nobody uses any."""
        held, self._sets = list(self._sets.values()), {}
        for leased in held:
            await self._retire(leased)

    async def _install(self, members: Callable[[], NDArray[np.bool_]]) -> int:
        member_N = await asyncio.to_thread(members)
        number = next(self._numbers)
        await self._engine.install_set(self._snapshot, number, member_N)
        return number

    async def _make_room(self) -> None:
        for key, leased in list(self._sets.items()):
            if len(self._sets) <= self._capacity:
                return
            if leased.users == 0 and self._sets.get(key) is leased:
                del self._sets[key]
                await self._retire(leased)

    async def _retire(self, leased: Leased[asyncio.Future[int]]) -> None:
        await leased.idle()
        if leased.value.done() and not leased.value.cancelled() and leased.value.exception() is None:
            await self._engine.retire_set(self._snapshot, leased.value.result())
