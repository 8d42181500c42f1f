"""Which models are served: what routes and services ask and change, one change at a time.

`server/serving/router.py` keeps who answers, `rollout.py` has another version take over, `sharing.py` several
share the requests, and `supervisor.py` starts again what died.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

from catalog.bundle.bundle import Bundle, current_bundle, published_versions
from catalog.data.changes import Change, Outcome
from server.core.errors import RolloutFailed, RolloutInProgress
from server.core.settings import EngineSettings, Settings
from server.core.tasks import Tasks
from server.engine.protocol import Engine
from server.serving.deployment import Deployment, make_engine, open_served_bundle
from server.serving.loader import Loader
from server.serving.rollout import Activation, Rollouts
from server.serving.router import Router
from server.serving.sharing import Sharing
from server.serving.supervisor import Supervisor
from server.serving.traffic_split import Traffic

__all__ = ["Deployments"]

Result = TypeVar("Result")


class Deployments:
    """The deployments that answer, and the ones that are being made ready or ended.

    `open_version` and `make` open bundles and make their engines; tests have their own.
    """

    def __init__(
        self,
        settings: Settings,
        open_version: Callable[[Settings, str], Bundle] = open_served_bundle,
        make: Callable[[Bundle, EngineSettings], Engine] = make_engine,
    ) -> None:
        self._bundles = settings.bundles
        launcher = Loader(settings, open_version, make)
        self._router = Router(launcher)
        self._activations = Rollouts(settings, launcher, self._router)
        self._sharing = Sharing(settings, self._router)
        self._revival = Supervisor(self._router)
        self._tasks = Tasks()
        self._busy = False

    @property
    def current(self) -> Deployment:
        """For a look; to answer with it, `use` it."""
        return self._router.current

    @property
    def live(self) -> list[Deployment]:
        """All that answer, the current one first."""
        return [leased.value for leased in self._router.serving.live]

    @property
    def previous(self) -> str | None:
        """The version that `roll_back` would activate."""
        return self._activations.previous

    @property
    def weights(self) -> dict[str, int]:
        """How the versions that answer share the requests."""
        return self._router.serving.weights

    @asynccontextmanager
    async def use(self, key: str | None = None) -> AsyncIterator[Deployment]:
        """The deployment that answers this request; it stays until the end of the block.

        key: where several answer, requests of one key get the same, while its engine lives; None gets the current one.
        """
        async with self._router.use(key) as deployment:
            yield deployment

    def versions(self) -> list[str]:
        """The published bundles, the newest last."""
        return published_versions(self._bundles)

    async def start(self) -> None:
        """Serve the current bundle. Raises CatalogError, StartupError and EngineError."""
        await self._router.begin((await asyncio.to_thread(current_bundle, self._bundles)).name)
        self._revival.start()

    async def change(self, changes: Sequence[Change], number: int, write: Callable[[], Awaitable[None]]) -> Outcome:
        """Change every live catalog, which have this number then: what came of it in the current one.

        write: as of `LiveCatalog.apply`. Raises CatalogError, EngineUnavailable while the current engine is dead, and
        what `write` raises; then nothing is changed.
        """
        return await self._router.change(changes, number, write)

    async def apply_remote(self, changes: Mapping[str, Change], number: int) -> None:
        """Change every live catalog as others did, by item id; each leaves out what it cannot take."""
        await self._router.apply_remote(changes, number)

    async def activate(self, version: str) -> Activation:
        """Serve another bundle alone, and after a restart too. Raises RolloutFailed: then all is as before; and
        RolloutInProgress while another activation is under way."""
        return await self._one_at_a_time(lambda: self._activations.activate(version))

    async def roll_back(self) -> Activation:
        """Serve what was served before the last activation. Raises as `activate` does."""
        if self.previous is None:
            raise RolloutFailed("there is nothing to roll back to: no other bundle was served since the start")
        return await self.activate(self.previous)

    async def share(self, weights: Mapping[str, int]) -> None:
        """Have several versions, the current one among them, share the requests by these weights.

        Raises RolloutFailed, then all is as before, and RolloutInProgress.
        """
        await self._one_at_a_time(lambda: self._sharing.share(Traffic(dict(weights))))

    async def end_sharing(self) -> None:
        """Have the current version answer alone. Raises RolloutInProgress."""
        await self._one_at_a_time(self._sharing.end)

    async def stop(self) -> None:
        """End every engine."""
        await self._revival.stop()
        await self._tasks.wait()
        await self._router.close()

    async def _one_at_a_time(self, work: Callable[[], Awaitable[Result]]) -> Result:
        """Whoever asks during another's change is refused; a dead engine's start is waited for."""
        if self._busy:
            raise RolloutInProgress("another activation is under way: wait until it has ended")
        self._busy = True

        async def alone() -> Result:
            try:
                async with self._router.starting:
                    return await work()
            finally:
                self._busy = False

        return await self._tasks.finish(alone())
