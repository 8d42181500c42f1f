"""Which models are served, and how another takes over without a failed request.

*Beside*: a second engine is started, proves itself, and gets the requests that come from then on; the first one is
ended when its last request is answered. *In place*: requests that come wait, those under way are answered, the weights
are replaced in the one engine, which proves itself; where it cannot, the old weights come back. That takes no more
memory than one model, and requests wait as long as the loading takes.

Several models may share the requests (`server/traffic.py`), each in an engine of its own, until the next activation or
restart: then the current one answers alone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

import structlog

from catalog.bundle import Bundle, activate, current_bundle, published_versions
from catalog.changes import Change, Outcome
from catalog.errors import CatalogError
from server import telemetry
from server.catalogue import LiveCatalogue
from server.deployment import Deployment, make_engine, open_served_bundle
from server.engine.errors import EngineError
from server.engine.protocol import Engine
from server.engine.settings import EngineSettings
from server.errors import ActivationBusy, ActivationFailed, StartupError
from server.launcher import Launcher
from server.leases import Leased
from server.serving import Serving
from server.settings import Settings
from server.tasks import Tasks
from server.traffic import Traffic

__all__ = ["Activation", "Deployments"]

log = structlog.get_logger(__name__)

REFUSALS = (CatalogError, EngineError, StartupError)

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Activation:
    """version: what is served now. previous: what was served before."""

    version: str
    previous: str
    seconds: float


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
        self._settings = settings
        self._launcher = Launcher(settings, open_version, make)
        self._started: Serving | None = None
        self._admitting = asyncio.Event()
        self._activating = False
        self._changing = asyncio.Lock()
        self._tasks = Tasks()
        self._previous: str | None = None

    @property
    def current(self) -> Deployment:
        """For a look; to answer with it, `use` it."""
        return self._serving.current.value

    @property
    def live(self) -> list[Deployment]:
        """All that answer, the current one first."""
        return [leased.value for leased in self._serving.live]

    @property
    def previous(self) -> str | None:
        """The version that `roll_back` would activate."""
        return self._previous

    @property
    def weights(self) -> dict[str, int]:
        """How the versions that answer share the requests."""
        return self._serving.weights

    @asynccontextmanager
    async def use(self, key: str | None = None) -> AsyncIterator[Deployment]:
        """The deployment that answers this request; it stays until the end of the block.

        key: where several answer, requests of one key get the same; None gets the current one.
        """
        await self._admitting.wait()
        with self._serving.answering(key).use() as deployment:
            yield deployment

    def versions(self) -> list[str]:
        """The published bundles, the newest last."""
        return published_versions(self._settings.bundles)

    async def start(self) -> None:
        """Serve the current bundle. Raises CatalogError, StartupError and EngineError."""
        version = (await asyncio.to_thread(current_bundle, self._settings.bundles)).name
        self._started = Serving(Leased(await self._launcher.launch(version, None)))
        self._describe_in_metrics()
        self._admitting.set()

    async def change(self, changes: Sequence[Change], number: int, write: Callable[[], Awaitable[None]]) -> Outcome:
        """Change every live catalogue, which have this number then: what came of it in the current one.

        write: as of `LiveCatalogue.apply`. Raises CatalogError, and what `write` raises; then nothing is changed.
        """
        async with self._changing:  # so that none is lost when another model takes over
            outcome = await self.current.catalogue.apply(changes, number, write)
            await self._follow(lambda catalogue: catalogue.apply(changes, number))
            return outcome

    async def take_over(self, changes: Mapping[str, Change], number: int) -> None:
        """Change every live catalogue as others did, by item id; each leaves out what it cannot take."""
        async with self._changing:
            await self.current.catalogue.take_over(changes, number)
            await self._follow(lambda catalogue: catalogue.take_over(changes, number))

    async def activate(self, version: str) -> Activation:
        """Serve another bundle alone, and after a restart too. Raises ActivationFailed: then all is as before; and
        ActivationBusy while another activation is under way."""
        return await self._one_at_a_time(lambda: self._activate(version))

    async def roll_back(self) -> Activation:
        """Serve what was served before the last activation. Raises as `activate` does."""
        if self._previous is None:
            raise ActivationFailed("there is nothing to roll back to: no other bundle was served since the start")
        return await self.activate(self._previous)

    async def share(self, weights: Mapping[str, int]) -> None:
        """Have several versions, the current one among them, share the requests by these weights.

        Raises ActivationFailed, then all is as before, and ActivationBusy.
        """
        await self._one_at_a_time(lambda: self._share(Traffic(dict(weights))))

    async def end_sharing(self) -> None:
        """Have the current version answer alone. Raises ActivationBusy."""

        async def end() -> None:
            self._serve(Serving(self._serving.current))

        await self._one_at_a_time(end)

    async def stop(self) -> None:
        """End every engine."""
        self._admitting.clear()
        await self._tasks.wait()
        if self._started is not None:
            for deployment in self.live:
                await deployment.stop()

    @property
    def _serving(self) -> Serving:
        assert self._started is not None, "start() makes it"
        return self._started

    async def _one_at_a_time(self, work: Callable[[], Awaitable[Result]]) -> Result:
        if self._activating:
            raise ActivationBusy("another activation is under way: wait until it has ended")
        self._activating = True

        async def alone() -> Result:
            try:
                return await work()
            finally:
                self._activating = False

        return await self._tasks.finish(alone())

    async def _activate(self, version: str) -> Activation:
        started, old = time.perf_counter(), self.current.version
        try:
            await (self._beside if self._settings.activation == "beside" else self._in_place)(version)
            await asyncio.to_thread(activate, self._settings.bundles, version)
        except REFUSALS as error:
            telemetry.ACTIVATION_SECONDS.labels("failed").observe(time.perf_counter() - started)
            raise ActivationFailed(f"{version} is not served, {self.current.version} still is: {error}") from error
        if version != old:
            self._previous = old
        seconds = time.perf_counter() - started
        telemetry.ACTIVATION_SECONDS.labels("ok").observe(seconds)
        log.info("activated", version=version, previous=old, seconds=round(seconds, 3))
        return Activation(version, old, seconds)

    async def _beside(self, version: str) -> None:
        running = self._serving.others.get(version)
        leased = running or Leased(await self._launch(version))
        try:
            async with self._changing:
                await leased.value.follow(self.current.catalogue)
                self._serve(Serving(leased))
        except REFUSALS:
            if running is None:
                await self._discard(leased)
            raise

    async def _share(self, traffic: Traffic) -> None:
        if self._settings.activation == "in_place":
            raise ActivationFailed(
                "this server has one engine, which holds one model: start it with --activation beside and memory for"
                " as many models as shall share the requests"
            )
        if self.current.version not in traffic.weights:
            raise ActivationFailed(f"{self.current.version} is current and must have a weight: activate another first")
        loaded: dict[str, Leased[Deployment]] = {}
        try:
            for version in traffic.weights.keys() - {each.version for each in self.live}:
                loaded[version] = Leased(await self._launch(version))
            async with self._changing:
                for leased in loaded.values():
                    await leased.value.follow(self.current.catalogue)
                beside = {
                    version: leased for version, leased in self._serving.others.items() if version in traffic.weights
                }
                self._serve(Serving(self._serving.current, traffic, beside | loaded))
        except REFUSALS as error:
            await self._discard(*loaded.values())
            raise ActivationFailed(f"requests are shared as before: {error}") from error
        log.info("requests_shared", weights=traffic.weights)

    async def _follow(self, change: Callable[[LiveCatalogue], Awaitable[object]]) -> None:
        """Change the catalogues beside the current one; a model that cannot take what the current one took leaves."""
        for version, leased in self._serving.others.items():
            try:
                await change(leased.value.catalogue)
            except REFUSALS as error:
                log.error("answers_no_more", version=version, reason=f"it could not take a change of items: {error}")
                self._serve(self._serving.without(version))

    async def _in_place(self, version: str) -> None:
        old = self._serving.current
        deployment = await self._launcher.open(version, old.value.engine)
        self._admitting.clear()
        try:
            async with asyncio.timeout(self._settings.answer_timeout_seconds):
                await old.idle()
            async with self._changing:
                await self._exchange(old.value, deployment)
                self._started = Serving(Leased(deployment))
            await old.value.catalogue.close()
        except TimeoutError as error:
            raise EngineError("requests under way did not end in time: try again") from error
        finally:
            self._admitting.set()
            for left in (old.value.version, version):
                self._forget(left)
        self._describe_in_metrics()

    async def _exchange(self, old: Deployment, new: Deployment) -> None:
        """Replace the weights in the one engine; where that fails, bring the old ones back."""
        if new.manifest.engine != old.manifest.engine:
            raise EngineError(
                f"{new.version} needs the {new.manifest.engine} engine, {old.manifest.engine} runs: load it beside"
            )
        try:
            await new.engine.reload(new.bundle)
            await new.prepare(old.catalogue)
        except Exception:
            await old.engine.reload(old.bundle)
            await old.catalogue.restore()
            raise

    def _serve(self, serving: Serving) -> None:
        """From the next request on; a deployment that is left out is ended when its last request is answered."""
        left = [leased for leased in self._serving.live if leased not in serving.live]
        self._started = serving
        for leased in left:
            self._tasks.start(self._end(leased))
        self._describe_in_metrics()

    async def _end(self, leased: Leased[Deployment]) -> None:
        await leased.idle()
        await leased.value.stop()
        self._forget(leased.value.version)

    async def _launch(self, version: str) -> Deployment:
        """Beside the current one, with its items changed alike."""
        try:
            return await self._launcher.launch(version, self.current)
        except BaseException:
            self._forget(version)
            raise

    async def _discard(self, *unused: Leased[Deployment]) -> None:
        """End what never got a request."""
        for leased in unused:
            await leased.value.stop()
            self._forget(leased.value.version)

    def _forget(self, version: str) -> None:
        if self._started is None or version not in self.weights:
            telemetry.forget(version)

    def _describe_in_metrics(self) -> None:
        for deployment in self.live:
            deployment.describe_in_metrics()
        telemetry.TRAFFIC_WEIGHT.clear()
        for version, weight in self.weights.items():
            telemetry.TRAFFIC_WEIGHT.labels(version).set(weight)
