"""Shared sync: what is kept in a store as a whole, so that it holds in every server on it and survives restarts.

Every change has a number. The server that is asked for one writes it; the others read it within about a second. While
the store is away what was read last holds, and a store that came back empty is given it again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Generic, Literal, Protocol, TypeAlias, TypeVar

import structlog

from server.core.errors import HistoryUnavailable
from server.core.metrics import Followed
from server.core.per_entry import PerEntry
from server.core.tasks import Outages, Poller, Tasks
from server.storage.protocol import SharedStore, Stored

__all__ = ["POLL_SECONDS", "SharedSync", "TooMany", "Written"]

log = structlog.get_logger(__name__)

POLL_SECONDS = 0.5
ATTEMPTS = 20
"""To write a change, where others write at the same time."""
FEW = 200
"""Entries that hold nobody up, so that no thread is worth its while."""


class Named(Protocol):
    """What has an id, by which it is kept."""

    @property
    def id(self) -> str: ...


Entry = TypeVar("Entry", bound=Named)
Change: TypeAlias = Callable[[Mapping[str, Entry]], Mapping[str, Entry] | None]
"""Makes new entries of those that there are; None where there is nothing to do."""
Use: TypeAlias = Callable[[Mapping[str, Entry]], Awaitable[None]]


class TooMany(Exception):
    """There would be more than a limit allows. It says which."""


Written: TypeAlias = Literal["inserted", "replaced", "unchanged"] | TooMany
"""What became of an entry."""


class SharedSync(Generic[Entry]):
    """Writes this server's changes and reads those of others.

    limits: what all entries together may come to, each with the words for what is over it.
    """

    limits: Sequence[tuple[int, str]] = ()

    def __init__(self, use: Use[Entry], store: SharedStore[Entry], what: Followed, poll_seconds: float) -> None:
        """use: has entries hold from now on, and no others. what: is shared, for the log."""
        self._use = use
        self._store = store
        self._what = what
        self._stored: Stored[Entry] = Stored(0, {})
        self._changing = asyncio.Lock()
        self._tasks = Tasks()
        self._poller = Poller(self._poll, poll_seconds)
        self._sizes: PerEntry[Entry, tuple[int, ...]] = PerEntry(self.size)
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

    def size(self, one: Entry) -> tuple[int, ...]:
        """How much of each limit it takes; asked in a thread too."""
        return ()

    def describe_in_metrics(self, number: int) -> None:
        """number: of the last change that holds."""

    async def put(self, new: Entry) -> bool:
        """Write one, new or in the place of the one with its id. Returns whether it is new.

        Raises HistoryUnavailable and TooMany; then all is as before.
        """
        (written,) = await self.put_all([new])
        if isinstance(written, TooMany):
            raise written
        return written == "inserted"

    async def put_all(self, new: Sequence[Entry]) -> list[Written]:
        """Write several as one change, one after the other. Returns what became of each: one that is too much is left
        out, and the others count.

        Raises HistoryUnavailable; then all is as before.
        """
        results: list[Written] = []

        def change(entries: Mapping[str, Entry]) -> Mapping[str, Entry] | None:
            nonlocal results
            after, results = self._with(entries, new)
            return after if "inserted" in results or "replaced" in results else None

        await self._tasks.shield(self._change(change))
        return results

    async def delete(self, entry_id: str) -> bool:
        """Take one away. Returns whether it was there. Raises HistoryUnavailable; then all is as before."""
        before = await self._tasks.shield(
            self._change(lambda entries: {name: kept for name, kept in entries.items() if name != entry_id})
        )
        return entry_id in before

    def _with(self, entries: Mapping[str, Entry], new: Sequence[Entry]) -> tuple[dict[str, Entry], list[Written]]:
        """Entries and those of `new` that fit, and what became of each of these."""
        results: list[Written] = []
        after, sizes = dict(entries), self._sizes.of(entries)
        held = [sum(column) for column in zip(*sizes.values(), strict=True)] or [0] * len(self.limits)
        for one in new:
            former, size = after.get(one.id), self.size(one)
            if former == one:
                results.append("unchanged")
                continue
            more = [now - before for now, before in zip(size, sizes.get(one.id, (0,) * len(size)), strict=True)]
            total = [before + grown for before, grown in zip(held, more, strict=True)]
            limits = zip(self.limits, total, more, strict=True)
            over = [words for (most, words), all_, grown in limits if grown > 0 and all_ > most]
            if over:
                results.append(TooMany(over[0]))
                continue
            after[one.id], sizes[one.id], held = one, size, total
            results.append("inserted" if former is None else "replaced")
        return after, results

    async def _change(self, change: Change[Entry]) -> Mapping[str, Entry]:
        """Returns what was before it."""
        async with self._changing:
            for _ in range(ATTEMPTS):
                found = await self._newest()
                before = found.entries if found.number >= self._stored.number else self.entries
                after = change(before) if len(before) < FEW else await asyncio.to_thread(change, before)
                if after is None:
                    return before
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
