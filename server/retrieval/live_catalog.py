"""The catalog while it serves: changed by whole snapshots, each used up by the requests that began with it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import count
from typing import TypeAlias

import structlog

from catalog.bundle.bundle import Bundle
from catalog.data.changes import AddedColumns, Change, Delete, Outcome, Upsert, last_changes
from catalog.data.items import Items
from catalog.errors import CatalogError
from catalog.facets import FacetIndex
from catalog.ids.agreed_paths import NO_PATHS, AgreedPaths
from catalog.snapshot import Snapshot
from catalog.text.prompts import PromptFormat
from server.core import metrics
from server.core.process import give_memory_back
from server.core.refcount import RefCounted, Swappable
from server.core.tasks import Tasks
from server.engine.errors import EngineError, EngineUnavailable
from server.engine.protocol import PUBLISHED, Engine
from server.retrieval.eligibility import EligibleItems
from server.retrieval.path_agreement import OwnPaths, PathAgreement
from server.retrieval.price_reader import PriceReader
from server.retrieval.priors.source import PriorSource
from server.retrieval.priors.state import PriorState
from server.retrieval.spell_checker import SpellChecker
from server.retrieval.suggester import Suggester
from server.storage.protocol import LoggedEvent, PathStore

__all__ = ["LiveCatalog", "Searcher"]

log = structlog.get_logger(__name__)

Write: TypeAlias = Callable[[Mapping[str, Change]], Awaitable[None]]
"""Writes the last change to every item, by item id."""


@dataclass(frozen=True, slots=True)
class Searcher:
    """One state of the catalog, as a request uses it.

    installed: the number under which the engine holds its index; states that differ in records only share one.
    priors: what guides its searches; None where the bundle has no priors.
    facets: counts and orders its items by their columns.
    """

    snapshot: Snapshot
    prompts: PromptFormat
    eligible: EligibleItems
    installed: int
    priors: PriorState | None
    facets: FacetIndex

    @property
    def items(self) -> Items:
        return self.snapshot.items

    async def within(self, expression: str | None) -> Searcher:
        """The same state for whoever may see only items that meet a filter; None for all. Raises Problem where the
        filter does not fit the items."""
        return self if expression is None else replace(self, eligible=await self.eligible.within(expression))


class LiveCatalog:
    """The catalog of one bundle, and the changes made to it since it was published.

    changes: by item id, the last change to each; another bundle's catalog that takes over begins with them.
    rejected: of these, those that this catalog cannot take, with the reason.
    calibrations: how scores of each task become probabilities.
    """

    def __init__(self, bundle: Bundle, engine: Engine, paths: PathStore | None = None) -> None:
        """paths: where the paths of new items are agreed on; None where nobody else serves the bundle."""
        self._bundle = bundle
        self._paths = PathAgreement(bundle.version, OwnPaths() if paths is None else paths)
        self._engine = engine
        self._installed = count(PUBLISHED + 1)
        self._filter_ids = count(1)
        self._changing = asyncio.Lock()
        self._tasks = Tasks()
        self.spelling = SpellChecker(bundle.snapshot.items, bundle.typed_words)
        self.prices = PriceReader(bundle.snapshot.items)
        self.priors = PriorSource(bundle, engine)
        self.suggester = Suggester(bundle)
        self.calibrations = bundle.calibrations
        published = self.priors.published(bundle.snapshot)
        facets = FacetIndex(bundle.snapshot.items.table)
        self._current = Swappable(self._searcher(bundle.snapshot, PUBLISHED, bundle.prompts, published, facets))
        self.changes: dict[str, Change] = {}
        self.rejected: dict[str, str] = {}

    async def load(self) -> None:
        """Make ready what the first request of its kind would wait for: words to correct by, what numbers count, what
        codes new items, and the priors. Raises PriorsError."""
        await self.spelling.load()
        await self.prices.load()
        await asyncio.to_thread(give_memory_back)  # else what comes next adds to what is free
        await self.priors.load()
        await self.suggester.load(self.searcher.facets)
        with suppress(CatalogError):  # whoever writes a new item is told
            await asyncio.to_thread(getattr, self._bundle, "code_assigner")
        await asyncio.to_thread(give_memory_back)

    async def install_prior(self) -> None:
        """Have the engine, which has loaded this bundle, hold the static prior of its index.

        Raises PriorsError, EngineError.
        """
        await self.priors.install(self.priors.published(self._bundle.snapshot), PUBLISHED)

    @property
    def version(self) -> str:
        """The bundle's."""
        return self._bundle.version

    @property
    def searcher(self) -> Searcher:
        """The present state, for a look."""
        return self._current.value

    @contextmanager
    def use(self) -> Iterator[Searcher]:
        """The present state, which stays usable inside whatever changes."""
        with self._current.use() as searcher:
            yield searcher

    async def apply(self, changes: Sequence[Change], number: int | None = None, write: Write | None = None) -> Outcome:
        """All changes together; requests that come after the return see them.

        number: the catalog's from then on, one more than before where it is None. write: awaited with the last change
        to every item when they are known to be good and nobody sees them yet; what it raises changes nothing. Raises
        CatalogError, and changes nothing, for a bad record or an item that cannot be coded, and HistoryUnavailable.
        """
        return await self._tasks.shield(self._apply(changes, number, write))

    async def reserve(self, changes: Sequence[Change]) -> None:
        """Agree on the paths that these changes need here, so that `apply` needs no store. Raises as `apply`."""
        async with self._changing:
            old = self.searcher.snapshot
            await self._paths.reserve(old, _written(changes), lambda agreed: self._changed(old, changes, agreed))

    async def attempt(self, snapshot: Snapshot, changes: Sequence[Change]) -> Snapshot:
        """The snapshot after changes, which nobody gets to see. Raises CatalogError where `apply` would."""
        return await asyncio.to_thread(self._changed, snapshot, changes, NO_PATHS)

    async def apply_remote(self, changes: Mapping[str, Change], number: int) -> None:
        """Changes that were accepted before, by item id: by this catalog in another server, or by another bundle's.

        One that this catalog cannot take is left out. Raises HistoryUnavailable, and then changes nothing.
        """
        await self._tasks.shield(self._apply_remote(changes, number))

    def adopt_paths(self, source: LiveCatalog) -> None:
        """Give new items the paths that they have in another catalog of the same bundle."""
        self._paths.adopt(source.searcher.snapshot, source.changes)

    async def claim_paths_again(self) -> None:
        """Tell the store the paths of all new items, after it has lost them. Raises HistoryUnavailable."""
        new = [item_id for item_id in self.changes if self._bundle.snapshot.items.row_of(item_id) is None]
        differing = await self._paths.claim_again(self.searcher.snapshot, new)
        if differing:
            remedy = "start this server again, so that it codes them as the others do"
            log.error("paths_differ", model=self.version, items=len(differing), example=differing[0], remedy=remedy)

    async def restore(self) -> None:
        """Have the engine hold the present state again, after it has loaded this bundle anew."""
        async with self._changing:
            old = self._current.value
            if old.installed != PUBLISHED:
                await self._engine.install(old.installed, old.snapshot.index)
            await self.priors.install(old.priors, old.installed)
            # the filter bitmaps that the old searcher knows of are gone
            self._current.swap(self._searcher(old.snapshot, old.installed, old.prompts, old.priors, old.facets))

    async def count_events(self, events: Sequence[LoggedEvent], erased: Sequence[str]) -> None:
        """Have the priors and the suggestions count events, and then take back those of erased users.

        Raises PriorsError.
        """
        await asyncio.to_thread(self.suggester.count, events, erased, int(1_000 * time.time()))
        await self.priors.count(events, erased, self.searcher.snapshot)

    async def renew_static_prior(self) -> None:
        """Have the engine, which has loaded this bundle, hold the static prior of the events that were counted since.

        The index stays; it costs the engine a pass over its leaves. Raises PriorsError, EngineError.
        """
        async with self._changing:
            await self.priors.renew(self.searcher.priors, self.searcher.installed)

    def describe_in_metrics(self) -> None:
        """Set the gauges of the catalog."""
        searcher, model = self.searcher, self.version
        metrics.CATALOG_ITEMS.labels(model, "true").set(searcher.eligible.shown)
        metrics.CATALOG_ITEMS.labels(model, "false").set(searcher.eligible.present - searcher.eligible.shown)
        metrics.CATALOG_VERSION.labels(model).set(searcher.snapshot.number)
        self.priors.describe_in_metrics()

    async def close(self) -> None:
        """Stop waiting for requests to finish."""
        await self._tasks.cancel()

    async def _apply(self, changes: Sequence[Change], number: int | None, write: Write | None) -> Outcome:
        async with self._changing:
            old = self.searcher.snapshot
            written = _written(changes)
            snapshot = await self._paths.make(old, written, lambda agreed: self._changed(old, changes, agreed))
            last = await asyncio.to_thread(self._kept, changes)  # which the catalog can take
            if write is not None:
                await write(last)
            await self._learn(changes)
            await self._serve(replace(snapshot, number=old.number + 1 if number is None else number), last)
            self.changes |= last
            self._note_rejected({}, last)
        return snapshot.outcome

    async def _apply_remote(self, changes: Mapping[str, Change], number: int) -> None:
        async with self._changing:
            old, reasons = self.searcher.snapshot, dict[str, str]()
            columns_first = sorted(changes.items(), key=lambda pair: not isinstance(pair[1], AddedColumns))

            def change(agreed: AgreedPaths) -> Snapshot:
                reasons.clear()
                return self._fitting(old, columns_first, reasons, agreed)

            snapshot = await self._paths.make(old, _written(changes.values()), change)
            await self._learn(changes.values())
            await self._serve(replace(snapshot, number=number), changes.keys() - reasons.keys())
            self.changes |= changes
            self._note_rejected(reasons, changes)

    async def _learn(self, changes: Iterable[Change]) -> None:
        """Before anybody can find them: else a query with a new item's name might be taken for a misspelled one.

        A deletion that is replayed has the words that the item had: who lived through it knows them too.
        """
        await self.spelling.add([change.record for change in changes if change.record is not None])

    def _note_rejected(self, reasons: Mapping[str, str], changes: Mapping[str, Change]) -> None:
        kept = {item_id: reason for item_id, reason in self.rejected.items() if item_id not in changes}
        self.rejected = kept | dict(reasons)
        for item_id, reason in reasons.items():
            log.error("change_rejected", model=self.version, item=item_id, reason=reason)

    async def _serve(self, snapshot: Snapshot, ids: Iterable[str]) -> None:
        """ids: of the items that have changed."""
        old = self._current.value
        installed, prompts = old.installed, old.prompts
        if snapshot.index is not old.snapshot.index:
            installed = next(self._installed)
            await self._engine.install(installed, snapshot.index)
        try:
            if installed != old.installed:
                prompts = old.prompts.with_codes(snapshot.codes_NL)
            priors = await self.priors.changed(old.priors, snapshot, ids)
            if installed != old.installed:
                await self.priors.install(priors, installed)
            facets = old.facets.changed(snapshot.items.table)
            new = await asyncio.to_thread(self._searcher, snapshot, installed, prompts, priors, facets)
            async with new.eligible.limit(None):  # before anybody waits for it
                self._retire(self._current.swap(new), index_too=installed != old.installed)
            await self.priors.count_waiting(snapshot)
        except BaseException:
            if installed != old.installed:
                with suppress(EngineError):  # what failed is told
                    await self._engine.retire(installed)
            raise
        self.describe_in_metrics()

    def _kept(self, changes: Sequence[Change]) -> dict[str, Change]:
        """Of each item its last change as it is written."""
        return {item_id: self._kept_of(change) for item_id, (_, change) in last_changes(changes).items()}

    def _kept_of(self, change: Change) -> Change:
        """Records fit also when columns that are empty in them have been dropped, and a deletion has the last record,
        so that whoever replays it has the row too."""
        if isinstance(change, Upsert):
            return Upsert({name: value for name, value in change.record.items() if value is not None})
        before = self.changes.get(change.item_id)
        if not isinstance(change, Delete) or before is None or before.record is None:
            return change
        added = self.searcher.snapshot.added_columns
        return Delete(change.item_id, {name: value for name, value in before.record.items() if name not in added})

    def _changed(self, snapshot: Snapshot, changes: Sequence[Change], agreed: AgreedPaths) -> Snapshot:
        new = any(snapshot.items.row_of(item_id) is None for item_id in _written(changes))
        return snapshot.apply(changes, self._bundle.code_assigner if new else None, agreed)

    def _fitting(
        self,
        snapshot: Snapshot,
        changes: Sequence[tuple[str, Change]],
        reasons: dict[str, str],
        agreed: AgreedPaths,
    ) -> Snapshot:
        """With those of the changes that it can take; the others are halved until each has its reason."""
        try:
            return self._changed(snapshot, [change for _, change in changes], agreed)
        except CatalogError as error:
            if len(changes) == 1:
                item_id, change = changes[0]
                if isinstance(change, Delete):  # it is not shown, with a row or without
                    return snapshot.apply([Delete(item_id)])
                reasons[item_id] = str(error)
                return snapshot
        middle = len(changes) // 2
        first = self._fitting(snapshot, changes[:middle], reasons, agreed)
        return self._fitting(first, changes[middle:], reasons, agreed)

    def _searcher(
        self,
        snapshot: Snapshot,
        installed: int,
        prompts: PromptFormat,
        priors: PriorState | None,
        facets: FacetIndex,
    ) -> Searcher:
        eligible = EligibleItems(snapshot, self._engine, installed, self._filter_ids)
        return Searcher(snapshot, prompts, eligible, installed, priors, facets)

    def _retire(self, old: RefCounted[Searcher], *, index_too: bool) -> None:
        """Have the engine forget a state when the last request that uses it is answered."""

        async def retire() -> None:
            await old.wait_idle()
            with suppress(EngineUnavailable):  # one that died has forgotten all
                if index_too:
                    await self._engine.retire(old.value.installed)
                else:
                    await old.value.eligible.retire()

        self._tasks.start(retire())


def _written(changes: Iterable[Change]) -> list[str]:
    """Ids of the items that changes may add. Raises ItemsError as `last_changes`."""
    return [item_id for item_id, (_, change) in last_changes(changes).items() if change.record is not None]
