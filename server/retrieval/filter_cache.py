"""Filter bitmaps in the engine: installed when first asked for, and the least recently used forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from server.core.refcount import RefCounted
from server.engine.protocol import Engine

__all__ = ["FilterCache"]

Mask: TypeAlias = NDArray[np.bool_]

MEMORY_BYTES = 1 << 28
BYTES_A_LEAF = 4
MAX_FILTERS = 256
AT_A_TIME = 2  # filters evaluated, which take up to a second each where items are many


class FilterCache:
    """Sets of the leaves of one snapshot, by whatever key they are asked for.

    numbers: where new sets get their numbers; shared by all that install into this snapshot.
    """

    def __init__(self, engine: Engine, snapshot: int, leaves: int, numbers: Iterator[int]) -> None:
        self._engine = engine
        self._snapshot = snapshot
        self._numbers = numbers
        self._capacity = max(4, min(MAX_FILTERS, MEMORY_BYTES // (BYTES_A_LEAF * leaves)))
        self._turns = asyncio.Semaphore(AT_A_TIME)
        self._sets: dict[str, RefCounted[asyncio.Future[int]]] = {}
        """The most recently used last."""
        self._leaves = leaves
        self._members: dict[int, NDArray[np.uint8]] = {}

    @asynccontextmanager
    async def hold(self, key: str, members: Mask | Callable[[], Mask]) -> AsyncIterator[int]:
        """The number of the set under `key`, which is not forgotten inside.

        members: the set, bool [N], or what makes it; that is called in a thread when its turn comes, if the engine does
        not have the set and somebody still waits for it. What it raises is raised here, to all who wait.
        """
        held = self._sets.pop(key, None)
        if held is None:
            held = self._begin(key, members)
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

    @asynccontextmanager
    async def once(self, member_N: Mask) -> AsyncIterator[int]:
        """The number of a set that is forgotten at the end of the block, as no other request has it."""
        installed = asyncio.ensure_future(self._install(member_N))
        try:
            yield await asyncio.shield(installed)
        finally:
            await self._retire(RefCounted(installed))

    def members(self, number: int) -> Mask:
        """The set under a number, bool [N], while somebody holds it."""
        return np.unpackbits(self._members[number], count=self._leaves).view(np.bool_)

    async def retire(self) -> None:
        """Forget all, once nobody uses any."""
        held, self._sets = list(self._sets.values()), {}
        for leased in held:
            await self._retire(leased)

    def _begin(self, key: str, members: Mask | Callable[[], Mask]) -> RefCounted[asyncio.Future[int]]:
        async def install() -> int:
            if isinstance(members, np.ndarray):
                return await self._install(members)
            async with self._turns:
                if held.users == 0:  # all who waited have left
                    if self._sets.get(key) is held:
                        del self._sets[key]
                    raise asyncio.CancelledError
                member_N = await asyncio.to_thread(members)
            return await self._install(member_N)

        held: RefCounted[asyncio.Future[int]] = RefCounted(asyncio.ensure_future(install()))
        return held

    async def _install(self, member_N: Mask) -> int:
        number = next(self._numbers)
        await self._engine.install_filter(self._snapshot, number, member_N)
        self._members[number] = np.packbits(member_N)
        return number

    async def _make_room(self) -> None:
        for key, leased in list(self._sets.items()):
            if len(self._sets) <= self._capacity:
                return
            if leased.users == 0 and leased.value.done() and self._sets.get(key) is leased:
                del self._sets[key]
                await self._retire(leased)

    async def _retire(self, leased: RefCounted[asyncio.Future[int]]) -> None:
        await leased.wait_idle()
        await asyncio.wait([leased.value])  # one that nobody waits for any more may still be under way
        if not leased.value.cancelled() and leased.value.exception() is None:
            self._members.pop(leased.value.result(), None)
            await self._engine.retire_filter(self._snapshot, leased.value.result())
