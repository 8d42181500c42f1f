"""The deployment manager: starts and stops serving, and changes what is served, one change at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial
from typing import Protocol, TypeVar

from catalog.bundle.bundle import Bundle
from catalog.bundle.report import BundleFacts
from catalog.bundle.source import bundle_source
from server.core.errors import RolloutFailed, RolloutInProgress
from server.core.settings import EngineSettings, Settings
from server.core.tasks import Tasks
from server.engine.protocol import Engine
from server.retrieval.live_catalog import LiveCatalog
from server.serving.deployment import make_engine, open_served_bundle
from server.serving.loader import Loader
from server.serving.rollout import Rollout, RolloutResult, nothing_to_commit
from server.serving.rollout_log import RolloutLog
from server.serving.router import Router, TrafficSplit
from server.serving.supervisor import Supervisor
from server.storage.protocol import PathStore
from server.storage.shared.fleet_state import Routing

__all__ = ["DeploymentManager", "ModelControl"]

Result = TypeVar("Result")


class ModelControl(Protocol):
    """Changes which models answer: of one server (`TrafficSync`), or of a fleet of them (`Fleet`).

    health_check: the name under which readiness tells of it.
    previous: the version that `roll_back` would activate; None if there is none.
    problem: why this server does not serve all that it should, while it answers; None while it does.
    blocked: why this server must not be asked; None while it may.
    """

    health_check: str

    @property
    def previous(self) -> str | None: ...

    @property
    def problem(self) -> str | None: ...

    @property
    def blocked(self) -> str | None: ...

    async def first_version(self) -> str | None:
        """The version with which to start; None for the one that `current` points to."""

    async def start(self) -> None:
        """Serve what is stored, once a first deployment answers, and keep following it."""

    async def stop(self) -> None:
        """Follow no more."""

    async def activate(self, version: str) -> RolloutResult:
        """Serve another version alone, after a restart too.

        Raises RolloutFailed, then all is as before, RolloutInProgress, and HistoryUnavailable where a store must agree.
        """

    async def roll_back(self) -> RolloutResult:
        """Serve what was served before the last activation. Raises as `activate`."""

    async def share(self, weights: Mapping[str, int]) -> None:
        """Have versions, the current one among them, share the queries in every server. Raises as `activate`."""

    async def end(self) -> None:
        """Have the current version answer alone. Raises as `activate`."""


class DeploymentManager:
    """Everything that serves models.

    router: gives queries their deployments, and knows which there are.
    activations: how many there have been since the start; each ended the split of before.

    `open_bundle` and `make_engine` are as in `Loader`; tests have their own.
    """

    def __init__(
        self,
        settings: Settings,
        open_bundle: Callable[[Settings, str], Bundle] | None = None,
        make_engine: Callable[[Bundle, EngineSettings], Engine] = make_engine,
    ) -> None:
        self.router = Router()
        self.activations = 0
        self._bundles = bundle_source(settings.bundles, settings.bundle_cache, settings.bundle_copies)
        self._loader = Loader(settings, open_bundle or partial(open_served_bundle, bundles=self._bundles), make_engine)
        self._rollout = Rollout(settings, self._loader, self.router, self._bundles)
        self._supervisor = Supervisor(self.router, self._rollout)
        self._tasks = Tasks()
        self._busy = False

    def count_events_first(self, catch_up: Callable[[LiveCatalog], Awaitable[None]]) -> None:
        """Await this for the catalog of every model that takes over, before it answers; see `EventSync.catch_up`."""
        self._rollout.catch_up = catch_up

    def agree_on_paths(self, store: PathStore) -> None:
        """Have every model's new items get the paths that they have in all servers on this store."""
        self._loader.paths = store

    @property
    def previous(self) -> str | None:
        """The version that `roll_back` would activate; None if there is none."""
        return self._rollout.previous

    @property
    def log(self) -> RolloutLog:
        """How far versions are that are to be served."""
        return self._loader.log

    def facts(self, version: str) -> BundleFacts:
        """What a published bundle says of itself; for threads. Raises BundleError."""
        return self._bundles.facts(version)

    def versions(self) -> list[str]:
        """The published bundles, the newest last; for threads. Raises BundleError."""
        return self._bundles.versions()

    async def start(self, version: str | None = None) -> None:
        """Serve this bundle, or the current one where none is named. Raises CatalogError, StartupError, EngineError."""
        first = await asyncio.to_thread(self._bundles.current) if version is None else version
        await self._rollout.start(first)
        self._supervisor.start()

    def make_current(self, version: str) -> None:
        """Point `current` to a version. Raises CatalogError."""
        self._bundles.activate(version)

    async def stop(self) -> None:
        """Give up the change under way, and stop every engine."""
        await self._supervisor.stop()
        await self._tasks.cancel()
        await self.router.close()

    async def activate(self, version: str) -> RolloutResult:
        """Serve another version alone, after a restart too.

        Raises RolloutFailed, then all is as before, and RolloutInProgress.
        """
        return await self._one_at_a_time(lambda: self._activate(version))

    async def roll_back(self) -> RolloutResult:
        """Serve what was served before the last activation. Raises as `activate`."""
        if self.previous is None:
            raise RolloutFailed("there is nothing to roll back to: no other bundle was served since the start")
        return await self.activate(self.previous)

    async def share(
        self, weights: Mapping[str, int], commit: Callable[[], Awaitable[None]] = nothing_to_commit
    ) -> None:
        """Have several versions, the current one among them, share the queries by these weights.

        commit: as in `Rollout.share`.

        Raises RolloutFailed, then all is as before, and RolloutInProgress.
        """
        await self._one_at_a_time(lambda: self._rollout.share(TrafficSplit(dict(weights)), commit))

    async def end_share(self, commit: Callable[[], Awaitable[None]] = nothing_to_commit) -> None:
        """Have the current version answer alone. commit: as in `Rollout.share`. Raises RolloutInProgress."""
        await self._one_at_a_time(lambda: self._rollout.end_share(commit))

    async def hold(self, versions: Collection[str]) -> None:
        """Have versions ready beside those that answer; see `Rollout.hold`, also for what it raises."""
        await self._rollout.hold(versions)

    async def route(self, routing: Routing, keep: Collection[str] = (), previous: str | None = None) -> None:
        """Answer by another routing of what is held; see `Rollout.route`."""
        await self._rollout.route(routing, keep, previous)

    async def _activate(self, version: str) -> RolloutResult:
        result = await self._rollout.activate(version)
        self.activations += 1
        return result

    async def _one_at_a_time(self, change: Callable[[], Awaitable[Result]]) -> Result:
        """Refuse a change during another one; a dead engine's start is waited for."""
        if self._busy:
            raise RolloutInProgress("another activation is under way: wait until it has ended")
        self._busy = True

        async def alone() -> Result:
            try:
                return await change()
            finally:
                self._busy = False

        return await self._tasks.shield(alone())
