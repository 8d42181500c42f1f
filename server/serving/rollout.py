"""Rollouts: how another deployment takes over without a failed query.

Surge: a second engine is started and checked; the queries that come from then on go to it, and the first engine is
stopped after its last one. Recreate: queries that come wait, those under way are answered, and the one engine loads the
other model; where that fails, the former model comes back. It takes the memory of one model only, and queries wait as
long as the loading takes. A dead engine can load nothing, so a new one takes its place in both cases.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import structlog

from catalog.bundle.source import BundleSource
from catalog.bundle.store import BundleStore
from server.core import metrics
from server.core.errors import HistoryUnavailable, RolloutFailed
from server.core.process import gc_deferred
from server.core.refcount import RefCounted
from server.core.settings import Settings
from server.engine.errors import EngineError
from server.retrieval.live_catalog import LiveCatalog
from server.serving.deployment import Deployment
from server.serving.loader import Loader
from server.serving.router import LOAD_ERRORS, DeploymentRef, Router, RoutingTable, TrafficSplit
from server.storage.shared.fleet_state import Routing

__all__ = ["Rollout", "RolloutResult"]

log = structlog.get_logger(__name__)


async def nothing_to_commit() -> None:
    """The `commit` of a split that nobody else must agree to."""


async def _nothing_to_catch_up_with(_: LiveCatalog) -> None:
    """The `catch_up` where no log of events is followed."""


@dataclass(frozen=True, slots=True)
class RolloutResult:
    """How a rollout went.

    version: what is served now.
    previous: what was served before.
    seconds: how long it took.
    """

    version: str
    previous: str
    seconds: float


class Rollout:
    """Changes which deployments answer, one change at a time: each may take all of the machine's memory.

    catch_up: awaited for the catalog of a deployment that has all items and answers nobody yet; it counts events.
    previous: the version that was served before the last activation; None if there is none.
    """

    def __init__(self, settings: Settings, loader: Loader, router: Router, bundles: BundleSource) -> None:
        self._settings = settings
        self._bundles = bundles
        self._loader = loader
        self._router = router
        self._lock = asyncio.Lock()
        self.previous: str | None = None
        self.catch_up: Callable[[LiveCatalog], Awaitable[None]] = _nothing_to_catch_up_with

    async def start(self, version: str) -> None:
        """Serve a first version. Raises CatalogError, StartupError and EngineError."""
        self._router.start(RefCounted(await self._loader.load(version)))
        self._loader.log.end()

    async def activate(self, version: str) -> RolloutResult:
        """Serve another version alone, after a restart too. Raises RolloutFailed: then all is as before."""
        async with self._alone_with_copies():
            started, old = time.perf_counter(), self._router.current.version
            try:
                if self._settings.rollout == "recreate" and self._router.current.engine.alive:
                    await self._recreate(version)
                else:
                    await self._surge(version)
            except (*LOAD_ERRORS, HistoryUnavailable) as error:
                metrics.ROLLOUT_SECONDS.labels("failed").observe(time.perf_counter() - started)
                served = self._router.current.version
                self._loader.log.failed(version, str(error))
                raise RolloutFailed(f"{version} is not served, {served} still is: {error}") from error
            seconds = time.perf_counter() - started
            metrics.ROLLOUT_SECONDS.labels("ok").observe(seconds)
            if version != old:
                self.previous = old
            log.info("activated", version=version, previous=old, seconds=round(seconds, 3))
            return RolloutResult(version, old, seconds)

    async def share(self, split: TrafficSplit, commit: Callable[[], Awaitable[None]] = nothing_to_commit) -> None:
        """Have several versions share the queries, each in an engine of its own, until another change.

        commit: awaited when all of them are ready and none answers yet; what it raises changes nothing.

        Raises RolloutFailed: then all is as before.
        """
        async with self._alone_with_copies():
            if self._settings.rollout == "recreate":
                raise RolloutFailed(
                    "this server has one engine, which holds one model: start it with --rollout surge and memory for as"
                    " many models as shall share the requests"
                )
            current = self._router.current.version
            if current not in split.weights:
                raise RolloutFailed(f"{current} is current and must have a weight: activate another first")
            missing = sorted(split.weights.keys() - self._router.table.weights.keys())
            try:
                async with self._loaded(missing) as loaded, self._router.changing:
                    for ref in loaded.values():
                        await ref.value.catch_up(self._router.current.catalog)
                    await commit()
                    table = self._router.table
                    kept = {version: ref for version, ref in table.others.items() if version in split.weights}
                    self._router.switch(RoutingTable(table.current, split, kept | loaded))
            except LOAD_ERRORS as error:
                for version in missing:
                    self._loader.log.failed(version, str(error))
                raise RolloutFailed(f"requests are shared as before: {error}") from error
            log.info("traffic_split", weights=split.weights)

    async def end_share(self, commit: Callable[[], Awaitable[None]] = nothing_to_commit) -> None:
        """Have the current version answer alone. commit: as in `share`."""
        async with self._alone_with_copies():
            await commit()
            self._router.switch(RoutingTable(self._router.table.current))

    async def hold(self, versions: Collection[str]) -> None:
        """Have versions ready beside those that answer, each in an engine of its own, with the items of now.

        Raises RolloutFailed: then all is as before.
        """
        async with self._alone_with_copies():
            missing = sorted(set(versions) - self._router.table.held.keys())
            try:
                async with self._loaded(missing) as loaded, self._router.changing:
                    for ref in loaded.values():
                        await ref.value.catch_up(self._router.current.catalog)
                    table = self._router.table
                    self._router.switch(replace(table, others={**table.others, **loaded}))
            except (*LOAD_ERRORS, HistoryUnavailable) as error:
                for version in missing:
                    self._loader.log.failed(version, str(error))
                raise RolloutFailed(str(error)) from error

    async def route(self, routing: Routing, keep: Collection[str], previous: str | None) -> None:
        """Answer by another routing of what is held, and keep these versions beside; the others are stopped.

        previous: the version that was served before, by the store that says what is.
        """
        async with self._alone_with_copies(), self._router.changing:
            self.previous = previous
            self._router.switch(self._router.table.routed(routing, keep))

    async def replace(self, dead: DeploymentRef) -> bool:
        """Start a deployment whose engine died once more, with the items of now.

        Returns False if it answers nobody any more. Raises LOAD_ERRORS.
        """
        async with self._alone():
            if dead not in self._router.table.refs:
                return False
            await dead.value.engine.stop()  # its memory is the new one's
            version = dead.value.version
            async with self._loaded([version]) as loaded, self._router.changing:
                await loaded[version].value.catch_up(self._router.current.catalog)
                self._router.switch(self._router.table.with_replaced(dead, loaded[version]))
            return True

    async def _surge(self, version: str) -> None:
        running = self._router.table.others.get(version)
        usable = running is not None and running.value.engine.alive
        async with self._loaded([] if usable else [version]) as loaded, self._router.changing:
            ref = running if running is not None and usable else loaded[version]
            await ref.value.catch_up(self._router.current.catalog)
            await self._make_current(version)
            self._router.switch(RoutingTable(ref))

    async def _recreate(self, version: str) -> None:
        old = self._router.table.current
        new = await self._loader.open_for(old.value.engine, version)
        await self.catch_up(new.catalog)  # while the old one answers
        try:
            with self._router.hold():
                await self._until_idle(old)
                async with self._router.changing:
                    await self._exchange(old.value, new)
                    self._router.switch(RoutingTable(RefCounted(new)))
        finally:
            for unused in (old.value.version, version):
                self._router.forget(unused)

    async def _until_idle(self, ref: DeploymentRef) -> None:
        try:
            async with asyncio.timeout(self._settings.answer_timeout_seconds):
                await ref.wait_idle()
        except TimeoutError as error:
            raise EngineError("requests under way did not end in time: try again") from error

    async def _exchange(self, old: Deployment, new: Deployment) -> None:
        """Load another model in the engine of the old one; where that fails, bring the old one back."""
        if new.manifest.engine != old.manifest.engine:
            raise EngineError(
                f"{new.version} needs the {new.manifest.engine} engine, {old.manifest.engine} runs: use --rollout surge"
            )
        try:
            await old.catalog.close()  # what it has yet to retire has numbers that the other catalog uses too
            await new.engine.reload(new.bundle)
            await self._loader.prepare(new, old.catalog)
            await self.catch_up(new.catalog)
            await new.catalog.renew_static_prior()
            await self._make_current(new.version)
        except Exception:
            await new.catalog.close()
            await _bring_back(old)
            raise
        except BaseException:
            await old.engine.stop()  # nobody knows what it holds
            raise

    async def _make_current(self, version: str) -> None:
        """Point `current` to a version, before anybody is answered by it, so that a failure leaves all as it was."""
        await asyncio.to_thread(self._bundles.activate, version)

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        async with self._lock:
            try:
                with gc_deferred():
                    yield
            finally:
                self._loader.log.end()

    @asynccontextmanager
    async def _alone_with_copies(self) -> AsyncIterator[None]:
        """As `_alone`, for what changes the versions that are in use: other copies of a store's may go afterwards."""
        async with self._alone():
            try:
                yield
            finally:
                if isinstance(self._bundles, BundleStore):
                    used = {*self._router.held, *([] if self.previous is None else [self.previous])}
                    await asyncio.to_thread(self._bundles.use_only, used)

    @asynccontextmanager
    async def _loaded(self, versions: Iterable[str]) -> AsyncIterator[dict[str, DeploymentRef]]:
        """Deployments of these versions with the current one's items. If the block raises, they are stopped again."""
        loaded: dict[str, DeploymentRef] = {}
        try:
            for version in versions:
                try:
                    deployment = await self._loader.load(version, self._router.current.catalog)
                except BaseException:
                    self._router.forget(version)
                    raise
                loaded[version] = RefCounted(deployment)
                await self.catch_up(deployment.catalog)
                await deployment.catalog.renew_static_prior()
            yield loaded
        except BaseException:
            for ref in loaded.values():
                await self._router.discard(ref)
            raise


async def _bring_back(old: Deployment) -> None:
    try:
        await old.engine.reload(old.bundle)
        await old.catalog.restore()
    except Exception as error:  # the engine may hold anything now, so it is started again as one that died
        log.error("engine_given_up", model=old.version, reason=str(error))
        await old.engine.stop()
