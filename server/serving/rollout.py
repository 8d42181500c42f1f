"""How another model takes over without a failed request.

*Beside*: a second engine is started, proves itself, and gets the requests that come from then on; the first one is
ended when its last request is answered. *In place*: requests that come wait, those under way are answered, the weights
are replaced in the one engine, which proves itself; where it cannot, the old weights come back. That takes no more
memory than one model, and requests wait as long as the loading takes. A dead engine can load nothing: then a new one
takes its place in both cases.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import structlog

from catalog.bundle.bundle import activate
from server.core import metrics
from server.core.errors import RolloutFailed
from server.core.refcount import RefCounted
from server.core.settings import Settings
from server.engine.errors import EngineError
from server.serving.deployment import Deployment
from server.serving.loader import Loader
from server.serving.router import REFUSALS, Router
from server.serving.routing_table import RoutingTable

__all__ = ["Activation", "Rollouts"]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Activation:
    """version: what is served now. previous: what was served before."""

    version: str
    previous: str
    seconds: float


class Rollouts:
    """Has another version take over. previous: the version to go back to."""

    def __init__(self, settings: Settings, launcher: Loader, router: Router) -> None:
        self._settings = settings
        self._launcher = launcher
        self._router = router
        self.previous: str | None = None

    async def activate(self, version: str) -> Activation:
        """Inside of `router.starting`. Raises RolloutFailed: then all is as before."""
        started, old = time.perf_counter(), self._router.current.version
        try:
            await self._take_over(version)
        except REFUSALS as error:
            metrics.ACTIVATION_SECONDS.labels("failed").observe(time.perf_counter() - started)
            served = self._router.current.version
            raise RolloutFailed(f"{version} is not served, {served} still is: {error}") from error
        if version != old:
            self.previous = old
        seconds = time.perf_counter() - started
        metrics.ACTIVATION_SECONDS.labels("ok").observe(seconds)
        log.info("activated", version=version, previous=old, seconds=round(seconds, 3))
        return Activation(version, old, seconds)

    async def _take_over(self, version: str) -> None:
        if self._settings.rollout == "recreate" and self._router.current.engine.alive:
            await self._in_place(version)
        else:
            await self._beside(version)

    async def _beside(self, version: str) -> None:
        running = self._router.serving.others.get(version)
        if running is not None and not running.value.engine.alive:
            running = None
        leased = running or await self._router.launch(version)
        try:
            async with self._router.changing:
                await leased.value.follow(self._router.current.catalog)
                await self._make_current(version)
                self._router.serve(RoutingTable(leased))
        except REFUSALS:
            if running is None:
                await self._router.discard(leased)
            raise

    async def _in_place(self, version: str) -> None:
        old = self._router.serving.current
        deployment = await self._launcher.open_for(old.value.engine, version)
        try:
            with self._router.waiting():
                async with asyncio.timeout(self._settings.answer_timeout_seconds):
                    await old.idle()
                async with self._router.changing:
                    await self._exchange(old.value, deployment)
                    self._router.exchange(RefCounted(deployment))
                await old.value.catalog.close()
        except TimeoutError as error:
            raise EngineError("requests under way did not end in time: try again") from error
        finally:
            for left in (old.value.version, version):
                self._router.forget(left)

    async def _exchange(self, old: Deployment, new: Deployment) -> None:
        """Replace the weights in the one engine; where that fails, bring the old ones back."""
        if new.manifest.engine != old.manifest.engine:
            raise EngineError(
                f"{new.version} needs the {new.manifest.engine} engine, {old.manifest.engine} runs: load it beside"
            )
        try:
            await new.engine.reload(new.bundle)
            await new.prepare(old.catalog)
            await self._make_current(new.version)
        except Exception:
            await _bring_back(old)
            raise

    async def _make_current(self, version: str) -> None:
        """For the next start. Before anybody is answered by it, so that a failure leaves all as it was."""
        await asyncio.to_thread(activate, self._settings.bundles, version)


async def _bring_back(old: Deployment) -> None:
    try:
        await old.engine.reload(old.bundle)
        await old.catalog.restore()
    except Exception as error:  # it may hold anything now, and is started again as one that died
        log.error("engine_given_up", model=old.version, reason=str(error))
        await old.engine.stop()
