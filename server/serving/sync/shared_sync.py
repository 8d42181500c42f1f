"""Shared sync: what is kept in a store as a whole, so that it holds in every server on it and survives restarts.

Every change has a number. The server that is asked for one writes it; the others read it within about a second. While
the store is away what was read last holds, and a store that came back empty is given it again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Generic, Protocol, TypeAlias, TypeVar

import structlog

from server.core.errors import HistoryUnavailable
from server.core.metrics import Followed
from server.core.tasks import Outages, Poller, Tasks
from server.storage.protocol import SharedStore, Stored

__all__ = ["POLL_SECONDS", "SharedSync"]

log = structlog.get_logger(__name__)

POLL_SECONDS = 0.5
ATTEMPTS = 20
"""To write a change, where others write at the same time."""


class Named(Protocol):
    """What has an id, by which it is kept."""

    @property
    def id(self) -> str: ...


Entry = TypeVar("Entry", bound=Named)
Use: TypeAlias = Callable[[Mapping[str, Entry]], Awaitable[None]]


class SharedSync(Generic[Entry]):
    """Writes this server's changes and reads those of others."""

    def __init__(self, use: Use[Entry], store: SharedStore[Entry], what: Followed, poll_seconds: float) -> None:
        """use: has entries hold from now on, and no others. what: is shared, for the log."""
        self._use = use
        self._store = store
        self._what = what
        self._stored: Stored[Entry] = Stored(0, {})
        self._changing = asyncio.Lock()
        self._tasks = Tasks()
        self._poller = Poller(self._poll, poll_seconds)
        self._outages = Outages(f"{what}_unavailable", f"{what}_not_read", (HistoryUnavailable,), what)

    @property
    def entries(self) -> Mapping[str, Entry]:
        """What holds now, by ids."""
        return self._stored.entries

    async def start(self) -> None:
        """Take up what is stored, and keep polling."""
        await self._poll()
        self._poller.start()

    async def stop(self) -> None:
        """Poll no more."""
        await self._poller.stop()
        await self._tasks.cancel()
        await self._store.close()

    async def check(self, before: Mapping[str, Entry], after: Mapping[str, Entry]) -> None:
        """Raises what a change is refused with."""

    def describe_in_metrics(self, number: int) -> None:
        """number: of the last change that holds."""

    async def put(self, new: Entry) -> bool:
        """Write one, new or in the place of the one with its id. Returns whether it is new.

        Raises HistoryUnavailable and what `check` raises; then all is as before.
        """
        before = await self._tasks.shield(self._change(lambda entries: {**entries, new.id: new}))
        return new.id not in before

    async def delete(self, entry_id: str) -> bool:
        """Take one away. Returns whether it was there. Raises HistoryUnavailable; then all is as before."""
        before = await self._tasks.shield(
            self._change(lambda entries: {name: kept for name, kept in entries.items() if name != entry_id})
        )
        return entry_id in before

    async def _change(self, change: Callable[[Mapping[str, Entry]], Mapping[str, Entry]]) -> Mapping[str, Entry]:
        """Returns what was before it."""
        async with self._changing:
            for _ in range(ATTEMPTS):
                found = await self._newest()
                before = found.entries if found.number >= self._stored.number else self.entries
                after = change(before)
                await self.check(before, after)
                number = max(found.number, self._stored.number) + 1
                if await self._store.write(after, expected=found.number, number=number):
                    await self._take(Stored(number, after))
                    return before
            raise HistoryUnavailable(f"others changed the {self._what} at the same time: try again")

    async def _newest(self) -> Stored[Entry]:
        """What is in the store, which is not read where this server has it."""
        number = await self._store.number()
        return self._stored if number == self._stored.number else await self._store.read()

    async def _poll(self) -> None:
        with self._outages.reported():
            if (number := await self._store.number()) == self._stored.number:
                return
            async with self._changing:
                if number < self._stored.number:
                    await self._restore()
                elif (found := await self._store.read()).number > self._stored.number:
                    await self._take(found)

    async def _restore(self) -> None:
        found, own = await self._store.number(), self._stored
        if found < own.number:
            log.warning(f"{self._what}_restored", entries=len(own.entries), found=found)
            if await self._store.write(own.entries, expected=found, number=own.number + 1):
                self._stored = Stored(own.number + 1, own.entries)
                self.describe_in_metrics(own.number + 1)

    async def _take(self, stored: Stored[Entry]) -> None:
        await self._use(stored.entries)
        self._stored = stored
        self.describe_in_metrics(stored.number)
        log.info(f"{self._what}_changed", entries=len(stored.entries), number=stored.number)
