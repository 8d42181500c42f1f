"""CatalogSync of the catalog: kept outside of the server, in one order for all servers that share the store.

Every change has a number. A server writes the next one only if it has taken over all those before, so whoever serves
number n serves what everybody else with n serves, and `catalog_version` in answers is that number. A change is written
before anybody sees it; what others wrote is taken over within about a second, and again after a restart.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence

import structlog

from catalog.data.changes import Change, Outcome, last_changes
from server.core.errors import HistoryUnavailable, ServerError
from server.core.tasks import Tasks
from server.engine.errors import EngineUnavailable
from server.serving.manager import Deployments
from server.storage.protocol import ChangeStore

__all__ = ["CatalogSync"]

log = structlog.get_logger(__name__)

POLL_SECONDS = 0.5
ATTEMPTS = 50  # to be the next one; each that fails means that another server's change went through
BATCH = 1_000  # items written in one step


class VersionConflict(ServerError):
    """Another server was faster."""


class CatalogSync:
    """Writes changes of this server, and takes over those of others."""

    def __init__(self, deployments: Deployments, store: ChangeStore, *, poll_seconds: float = POLL_SECONDS) -> None:
        self._deployments = deployments
        self._store = store
        self._poll_seconds = poll_seconds
        self._one_by_one = asyncio.Lock()
        self._tasks = Tasks()
        self._following: asyncio.Task[None] | None = None
        self._away = False

    async def start(self) -> None:
        """Take over what there is, and go on doing so. While the store is away the bundle is served as published."""
        await self._look()
        self._following = asyncio.create_task(self._follow())

    async def change(self, changes: Sequence[Change]) -> tuple[Outcome, int]:
        """Changes the catalog, here and for all: what came of it, and the catalog's new number.

        Raises CatalogError, then nothing is changed; and HistoryUnavailable, then it may still come into effect if the
        store was reached: repeating it is harmless.
        """
        return await self._tasks.finish(self._change(changes))

    async def stop(self) -> None:
        """Finish the changes under way and take over no more."""
        if self._following is not None:
            self._following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._following
        await self._tasks.wait()
        await self._store.close()

    @property
    def _number(self) -> int:
        return self._deployments.current.catalog.searcher.snapshot.number

    async def _change(self, changes: Sequence[Change]) -> tuple[Outcome, int]:
        last = {item_id: change for item_id, (_, change) in last_changes(changes).items()}
        async with self._one_by_one:
            for _ in range(ATTEMPTS):
                await self._catch_up()
                number = self._number + 1
                with contextlib.suppress(VersionConflict):
                    return await self._deployments.change(changes, number, lambda: self._write(last)), number
        raise HistoryUnavailable(f"other servers were faster {ATTEMPTS} times")

    async def _write(self, changes: Mapping[str, Change]) -> None:
        if not await self._store.write(changes, expected=self._number, number=self._number + 1):
            raise VersionConflict

    async def _catch_up(self) -> None:
        recent = await self._store.since(self._number)
        if recent.number > self._number:
            await self._deployments.apply_remote(recent.changes, recent.number)
            log.info("changes_taken_over", items=len(recent.changes), catalog_version=recent.number)
        elif recent.number < self._number:
            await self._bring_back(recent.number)

    async def _bring_back(self, found: int) -> None:
        """Redis came back empty, or from an older copy: what this server knows is written again."""
        changes = list(self._deployments.current.catalog.changes.items())
        log.warning("changes_brought_back", items=len(changes), found=found, catalog_version=self._number)
        number = self._number
        for start in range(0, len(changes), BATCH):
            if not await self._store.write(dict(changes[start : start + BATCH]), expected=found, number=number + 1):
                return  # another server brings them back
            found = number = number + 1
        await self._deployments.apply_remote({}, number)

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(self._poll_seconds)
            await self._look()

    async def _look(self) -> None:
        try:
            async with self._one_by_one:
                await self._catch_up()
        except (HistoryUnavailable, EngineUnavailable) as error:
            if not self._away:
                log.warning("changes_unavailable", error=str(error))
            self._away = True
        except Exception:  # whatever it is, the next look may find it gone; nobody waits for this task
            log.exception("changes_not_taken_over")
        else:
            self._away = False
