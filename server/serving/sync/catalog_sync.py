"""Catalog sync: changes of items and columns are kept in a store, in one order for all servers that share it.

Every change has a number. A server writes the next one only after it has applied all those before, so whoever serves
number n serves what everybody else with n serves, and `catalog_version` in answers is that number. A change is written
before anybody sees it; other servers apply it within about a second, and again after a restart.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence

import structlog

from catalog.data.changes import AddedColumns, Change, Outcome
from catalog.snapshot import Snapshot
from server.core.errors import HistoryUnavailable, ServerError
from server.core.tasks import Outages, Poller, Tasks
from server.engine.errors import EngineUnavailable
from server.serving.router import Router
from server.storage.protocol import SharedCatalog

__all__ = ["CatalogSync"]

log = structlog.get_logger(__name__)

POLL_SECONDS = 0.5
MAX_ATTEMPTS = 50  # to write the next number; each that fails means that another server's change went through
MAX_BATCH = 1_000  # items written in one step
KEEP_SECONDS = 24 * 3600.0  # between two times that the store is told which bundles are served


class VersionConflict(ServerError):
    """Another server has written a change since this one looked."""


class CatalogSync:
    """Writes this server's changes and applies those of others."""

    def __init__(self, router: Router, store: SharedCatalog, *, poll_seconds: float = POLL_SECONDS) -> None:
        self._router = router
        self._store = store
        self._lock = asyncio.Lock()
        self._tasks = Tasks()
        self._poller = Poller(self._poll, poll_seconds)
        away = HistoryUnavailable, EngineUnavailable
        self._keep_at = time.monotonic() + KEEP_SECONDS
        self._outages = Outages("changes_unavailable", "remote_changes_not_applied", away, "items")

    async def start(self) -> None:
        """Apply what there is, and keep polling. While the store is away the bundle is served as published."""
        await self._poll()
        self._poller.start()

    async def change(self, changes: Sequence[Change]) -> tuple[Outcome, int]:
        """Change the catalog, here and for all servers: what came of it, and the catalog's new number.

        Raises CatalogError, then nothing is changed; and HistoryUnavailable, then the change may still come into effect
        if the store was reached: repeating it is harmless.
        """
        return await self.change_newest(lambda _: changes)

    async def change_newest(self, changes_of: Callable[[Snapshot], Sequence[Change]]) -> tuple[Outcome, int]:
        """As `change`, with changes that are made of the newest state of the catalog.

        changes_of: called again with a newer snapshot whenever another server's change went before, so that what it
          reads there is what its changes replace. What it raises changes nothing. It runs in a thread.
        """
        return await self._tasks.shield(self._change(changes_of))

    async def attempt(
        self, changes_of: Callable[[Snapshot], Sequence[Change]], base: Snapshot | None = None
    ) -> Snapshot:
        """The snapshot that `change_newest` would make, which nobody gets to see. Raises what that would raise.

        base: what another attempt made; None for what is served.
        """
        catalog = self._router.current.catalog
        snapshot = catalog.searcher.snapshot if base is None else base
        return await catalog.attempt(snapshot, await asyncio.to_thread(changes_of, snapshot))

    async def stop(self) -> None:
        """Finish the changes under way and poll no more."""
        await self._poller.stop()
        await self._tasks.wait()
        await self._store.close()

    @property
    def _number(self) -> int:
        return self._router.current.catalog.searcher.snapshot.number

    async def _change(self, changes_of: Callable[[Snapshot], Sequence[Change]]) -> tuple[Outcome, int]:
        async with self._lock:
            for _ in range(MAX_ATTEMPTS):
                await self._catch_up()
                number = self._number + 1
                with contextlib.suppress(VersionConflict):
                    return await self._router.change(changes_of, number, self._write), number
        raise HistoryUnavailable(f"other servers were faster {MAX_ATTEMPTS} times")

    async def _write(self, changes: Mapping[str, Change]) -> None:
        if not await self._store.write(changes, expected=self._number, number=self._number + 1):
            raise VersionConflict

    async def _catch_up(self) -> None:
        recent = await self._store.since(self._number)
        if recent.number > self._number:
            await self._router.apply_remote(recent.changes, recent.number)
            log.info("remote_changes_applied", items=len(recent.changes), catalog_version=recent.number)
        elif recent.number < self._number:
            await self._restore(recent.number)

    async def _restore(self, found: int) -> None:
        """Write again what this server knows: the store came back empty, or from an older copy."""
        changes = list(self._router.current.catalog.changes.items())
        changes.sort(key=lambda pair: not isinstance(pair[1], AddedColumns))  # others may read the rest later
        log.warning("changes_restored", items=len(changes), found=found, catalog_version=self._number)
        for deployment in self._router.table.deployments:
            await deployment.catalog.claim_paths_again()
        number = self._number
        for start in range(0, len(changes), MAX_BATCH):
            if not await self._store.write(dict(changes[start : start + MAX_BATCH]), expected=found, number=number + 1):
                return  # another server restores them
            found = number = number + 1
        await self._router.apply_remote({}, number)

    async def _poll(self) -> None:
        with self._outages.reported():
            async with self._lock:
                await self._catch_up()
                await self._keep_paths()

    async def _keep_paths(self) -> None:
        """Have the store keep the paths of the bundles that are served here."""
        if time.monotonic() < self._keep_at:
            return
        for version in self._router.table.held:
            await self._store.claim(version, {})
        self._keep_at = time.monotonic() + KEEP_SECONDS
