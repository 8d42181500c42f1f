"""The catalogue while it serves: changed by whole snapshots, each used up by the requests that began with it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count

from catalog.bundle import Bundle
from catalog.changes import Change, Outcome, Upsert, last_changes
from catalog.items import Items
from catalog.prompts import PromptFormat
from catalog.snapshot import Snapshot
from server import telemetry
from server.engine.protocol import PUBLISHED, Engine
from server.leases import Current, Leased
from server.selection import Selection
from server.tasks import Tasks

__all__ = ["LiveCatalogue", "View"]


@dataclass(frozen=True, slots=True)
class View:
    """One state of the catalogue, as a request uses it.

    installed: the number under which the engine holds its index; states that differ in records only share one.
    """

    snapshot: Snapshot
    prompts: PromptFormat
    selection: Selection
    installed: int

    @property
    def items(self) -> Items:
        return self.snapshot.items


class LiveCatalogue:
    """The catalogue of one bundle, and the changes made to it since it was published.

    changes: by item id, the last change to each; another bundle's catalogue that takes over begins with them.
    """

    def __init__(self, bundle: Bundle, engine: Engine) -> None:
        self._bundle = bundle
        self._engine = engine
        self._installed = count(PUBLISHED + 1)
        self._leaf_sets = count(1)
        self._changing = asyncio.Lock()
        self._tasks = Tasks()
        self._current = Current(self._view(bundle.snapshot, PUBLISHED, bundle.prompts))
        self.changes: dict[str, Change] = {}

    @property
    def view(self) -> View:
        """The present state, for a look."""
        return self._current.value

    @contextmanager
    def use(self) -> Iterator[View]:
        """The present state, which stays usable inside whatever changes."""
        with self._current.use() as view:
            yield view

    async def apply(self, changes: Sequence[Change]) -> Outcome:
        """All changes together; requests that come after the return see them.

        Raises CatalogError, and changes nothing, for a bad record or an item that cannot be coded.
        """
        return await self._tasks.finish(self._apply(changes))

    async def restore(self) -> None:
        """Have the engine hold the present state again, after it has loaded this bundle anew."""
        async with self._changing:
            old = self._current.value
            if old.installed != PUBLISHED:
                await self._engine.install(old.installed, old.snapshot.index)
            # the leaf sets that the old view knows of are gone
            self._current.replace(self._view(old.snapshot, old.installed, old.prompts))

    def describe_in_metrics(self) -> None:
        """Set the gauges of the catalogue."""
        selection = self.view.selection
        telemetry.CATALOG_ITEMS.labels("true").set(selection.shown)
        telemetry.CATALOG_ITEMS.labels("false").set(selection.present - selection.shown)

    async def close(self) -> None:
        """Stop waiting for requests to finish."""
        await self._tasks.cancel()

    async def _apply(self, changes: Sequence[Change]) -> Outcome:
        async with self._changing:
            old = self._current.value
            snapshot = await asyncio.to_thread(self._changed, old.snapshot, changes)
            installed, prompts = old.installed, old.prompts
            if snapshot.index is not old.snapshot.index:
                installed = next(self._installed)
                await self._engine.install(installed, snapshot.index)
                prompts = old.prompts.with_codes(snapshot.codes_NL)
            new = await asyncio.to_thread(self._view, snapshot, installed, prompts)
            async with new.selection.limit(None):  # before anybody waits for it
                self._retire(self._current.replace(new), index_too=installed != old.installed)
            self.changes |= {item_id: change for item_id, (_, change) in last_changes(changes).items()}
        self.describe_in_metrics()
        return snapshot.outcome

    def _changed(self, snapshot: Snapshot, changes: Sequence[Change]) -> Snapshot:
        new = any(
            isinstance(change, Upsert) and snapshot.items.row_of(item_id) is None
            for item_id, (_, change) in last_changes(changes).items()
        )
        return snapshot.apply(changes, self._bundle.coder if new else None)

    def _view(self, snapshot: Snapshot, installed: int, prompts: PromptFormat) -> View:
        return View(snapshot, prompts, Selection(snapshot, self._engine, installed, self._leaf_sets), installed)

    def _retire(self, old: Leased[View], *, index_too: bool) -> None:
        """Have the engine forget a state when the last request that uses it is answered."""

        async def retire() -> None:
            await old.idle()
            if index_too:
                await self._engine.retire(old.value.installed)
            else:
                await old.value.selection.retire()

        self._tasks.start(retire())
