"""The deployment manager: starts and stops serving, and changes what is served, one change at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from catalog.bundle.bundle import Bundle, current_bundle, published_versions
from server.core.errors import RolloutFailed, RolloutInProgress
from server.core.settings import EngineSettings, Settings
from server.core.tasks import Tasks
from server.engine.protocol import Engine
from server.retrieval.live_catalog import LiveCatalog
from server.serving.deployment import make_engine, open_served_bundle
from server.serving.loader import Loader
from server.serving.rollout import Rollout, RolloutResult, nothing_to_commit
from server.serving.router import Router, TrafficSplit
from server.serving.supervisor import Supervisor
from server.storage.protocol import PathStore

__all__ = ["DeploymentManager"]

Result = TypeVar("Result")


class DeploymentManager:
    """Everything that serves models.

    router: gives queries their deployments, and knows which there are.
    previous: the version that `roll_back` would activate.
    activations: how many there have been since the start; each ended the split of before.

    `open_bundle` and `make_engine` are as in `Loader`; tests have their own.
    """

    def __init__(
        self,
        settings: Settings,
        open_bundle: Callable[[Settings, str], Bundle] = open_served_bundle,
        make_engine: Callable[[Bundle, EngineSettings], Engine] = make_engine,
    ) -> None:
        self.router = Router()
        self.previous: str | None = None
        self.activations = 0
        self._bundles = settings.bundles
        self._loader = Loader(settings, open_bundle, make_engine)
        self._rollout = Rollout(settings, self._loader, self.router)
        self._supervisor = Supervisor(self.router, self._rollout)
        self._tasks = Tasks()
        self._busy = False

    def count_events_first(self, catch_up: Callable[[LiveCatalog], Awaitable[None]]) -> None:
        """Await this for the catalog of every model that takes over, before it answers; see `EventSync.catch_up`."""
        self._rollout.catch_up = catch_up

    def agree_on_paths(self, store: PathStore) -> None:
        """Have every model's new items get the paths that they have in all servers on this store."""
        self._loader.paths = store

    def versions(self) -> list[str]:
        """The published bundles, the newest last."""
        return published_versions(self._bundles)

    async def start(self) -> None:
        """Serve the current bundle. Raises CatalogError, StartupError and EngineError."""
        await self._rollout.start((await asyncio.to_thread(current_bundle, self._bundles)).name)
        self._supervisor.start()

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

    async def _activate(self, version: str) -> RolloutResult:
        result = await self._rollout.activate(version)
        self.activations += 1
        if result.version != result.previous:
            self.previous = result.previous
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
