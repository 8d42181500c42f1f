"""Synonym sync: synonyms are kept in a store, so that they hold in every server on it and survive restarts.

Every change has a number. The server that is asked for one writes it; the others read it within about a second. While
the store is away the present synonyms hold, and a store that came back empty is given them again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import structlog

from catalog.priors.words import SynonymSet
from server.core import metrics
from server.core.errors import HistoryUnavailable
from server.core.tasks import Outages, Poller, Tasks
from server.retrieval.synonym_reader import SynonymReader
from server.storage.protocol import StoredSynonyms, SynonymStore

__all__ = ["MAX_PHRASES", "SynonymSync", "TooManySynonyms"]

log = structlog.get_logger(__name__)

POLL_SECONDS = 0.5
MAX_PHRASES = 10_000
"""Words and phrases of all sets together."""
ATTEMPTS = 20
"""To write a change, where others write at the same time."""

Sets = Mapping[str, SynonymSet]


class TooManySynonyms(Exception):
    """There would be more words and phrases than MAX_PHRASES."""


class SynonymSync:
    """Writes this server's changes of the synonyms and reads those of others."""

    def __init__(self, reader: SynonymReader, store: SynonymStore, *, poll_seconds: float = POLL_SECONDS) -> None:
        self._reader = reader
        self._store = store
        self._number = 0
        self._changing = asyncio.Lock()
        self._tasks = Tasks()
        self._poller = Poller(self._poll, poll_seconds)
        self._outages = Outages("synonyms_unavailable", "synonyms_not_read", (HistoryUnavailable,), "synonyms")

    @property
    def sets(self) -> Sets:
        """The sets that queries are read with now, by their ids."""
        return self._reader.sets

    async def start(self) -> None:
        """Take up the stored synonyms, and keep polling."""
        await self._poll()
        self._poller.start()

    async def stop(self) -> None:
        """Poll no more."""
        await self._poller.stop()
        await self._tasks.cancel()
        await self._store.close()

    async def put(self, new: SynonymSet) -> bool:
        """Write a set, new or in place of the one with its id. Returns whether it is new.

        Raises HistoryUnavailable and TooManySynonyms; then all is as before.
        """
        before = await self._tasks.shield(self._change(lambda sets: {**sets, new.id: new}))
        return new.id not in before

    async def delete(self, set_id: str) -> bool:
        """Take a set away. Returns whether it was there. Raises HistoryUnavailable; then all is as before."""
        before = await self._tasks.shield(
            self._change(lambda sets: {name: kept for name, kept in sets.items() if name != set_id})
        )
        return set_id in before

    async def _change(self, change: Callable[[Sets], Sets]) -> Sets:
        """Returns the sets before it."""
        async with self._changing:
            for _ in range(ATTEMPTS):
                found = await self._store.read()
                before = found.sets if found.number >= self._number else self._reader.sets
                after = change(before)
                if len(after) >= len(before) and _phrases(after) > MAX_PHRASES:
                    raise TooManySynonyms
                number = max(found.number, self._number) + 1
                if await self._store.write(after, expected=found.number, number=number):
                    await self._take(StoredSynonyms(number, after))
                    return before
            raise HistoryUnavailable("others changed the synonyms at the same time: try again")

    async def _poll(self) -> None:
        with self._outages.reported():
            if (number := await self._store.number()) == self._number:
                return
            async with self._changing:
                if number < self._number:
                    await self._restore()
                elif (found := await self._store.read()).number > self._number:
                    await self._take(found)

    async def _restore(self) -> None:
        found = await self._store.number()
        if found < self._number:
            log.warning("synonyms_restored", sets=len(self._reader.sets), found=found)
            if await self._store.write(self._reader.sets, expected=found, number=self._number + 1):
                self._number += 1
                metrics.SYNONYM_VERSION.set(self._number)

    async def _take(self, stored: StoredSynonyms) -> None:
        await self._reader.replace(stored.sets)
        self._number = stored.number
        metrics.SYNONYM_SETS.set(len(stored.sets))
        metrics.SYNONYM_PHRASES.set(_phrases(stored.sets))
        metrics.SYNONYM_VERSION.set(stored.number)
        log.info("synonyms_changed", sets=len(stored.sets), number=stored.number)


def _phrases(sets: Sets) -> int:
    return sum(len(one.synonyms) + (one.root is not None) for one in sets.values())
