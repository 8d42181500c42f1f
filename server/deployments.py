"""Which model is served, and how another takes its place without a failed request.

*Beside*: a second engine is started, proves itself, and gets the requests that come from then on; the first one is
ended when its last request is answered. *In place*: requests that come wait, those under way are answered, the weights
are replaced in the one engine, which proves itself; where it cannot, the old weights come back. That takes no more
memory than one model, and requests wait as long as the loading takes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog

from catalog.bundle import Bundle, activate, current_bundle, published_versions
from catalog.changes import Change, Outcome
from catalog.errors import CatalogError
from server import telemetry
from server.deployment import Deployment, make_engine, open_served_bundle
from server.engine.errors import EngineError
from server.engine.protocol import Engine
from server.engine.settings import EngineSettings
from server.errors import ActivationBusy, ActivationFailed, StartupError
from server.leases import Current, Leased
from server.settings import Settings
from server.tasks import Tasks

__all__ = ["Activation", "Deployments"]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Activation:
    """version: what is served now. previous: what was served before."""

    version: str
    previous: str
    seconds: float


class Deployments:
    """The deployment that answers, and the ones that are being made ready or ended.

    `open_version` and `make` open bundles and make their engines; tests have their own.
    """

    def __init__(
        self,
        settings: Settings,
        open_version: Callable[[Settings, str], Bundle] = open_served_bundle,
        make: Callable[[Bundle, EngineSettings], Engine] = make_engine,
    ) -> None:
        self._settings = settings
        self._open_version = open_version
        self._make = make
        self._current: Current[Deployment] | None = None
        self._admitting = asyncio.Event()
        self._activating = False
        self._changing = asyncio.Lock()
        self._tasks = Tasks()
        self._previous: str | None = None

    @property
    def current(self) -> Deployment:
        """For a look; to answer with it, `use` it."""
        assert self._current is not None, "start() makes it"
        return self._current.value

    @property
    def previous(self) -> str | None:
        """The version that `roll_back` would activate."""
        return self._previous

    @asynccontextmanager
    async def use(self) -> AsyncIterator[Deployment]:
        """The deployment that answers this request; it stays until the end of the block."""
        await self._admitting.wait()
        assert self._current is not None
        with self._current.use() as deployment:
            yield deployment

    def versions(self) -> list[str]:
        """The published bundles, the newest last."""
        return published_versions(self._settings.bundles)

    async def start(self) -> None:
        """Serve the current bundle. Raises CatalogError, StartupError and EngineError."""
        version = (await asyncio.to_thread(current_bundle, self._settings.bundles)).name
        deployment = await self._load(version, ())
        self._current = Current(deployment)
        self._describe_in_metrics()
        self._admitting.set()

    async def change(self, changes: Sequence[Change]) -> tuple[Outcome, int]:
        """Change the present catalogue: what came of it, and the catalogue's new number. Raises CatalogError."""
        async with self._changing:  # so that none is lost when another model takes over
            catalogue = self.current.catalogue
            outcome = await catalogue.apply(changes)
            return outcome, catalogue.view.snapshot.number

    async def activate(self, version: str) -> Activation:
        """Serve another bundle, and after a restart too. Raises ActivationFailed: then all is as before; and
        ActivationBusy while another activation is under way."""
        if self._activating:
            raise ActivationBusy("another activation is under way: wait until it has ended")
        self._activating = True
        return await self._tasks.finish(self._activate(version))

    async def roll_back(self) -> Activation:
        """Serve what was served before the last activation. Raises as `activate` does."""
        if self._previous is None:
            raise ActivationFailed("there is nothing to roll back to: no other bundle was served since the start")
        return await self.activate(self._previous)

    async def stop(self) -> None:
        """End every engine."""
        self._admitting.clear()
        await self._tasks.wait()
        if self._current is not None:
            await self._current.value.stop()

    async def _activate(self, version: str) -> Activation:
        started, old = time.perf_counter(), self.current.version
        try:
            await (self._beside if self._settings.activation == "beside" else self._in_place)(version)
            await asyncio.to_thread(activate, self._settings.bundles, version)
        except (CatalogError, EngineError, StartupError) as error:
            raise ActivationFailed(f"{version} is not served, {self.current.version} still is: {error}") from error
        finally:
            self._activating = False
        if version != old:
            self._previous = old
        seconds = time.perf_counter() - started
        log.info("activated", version=version, previous=old, seconds=round(seconds, 3))
        self._describe_in_metrics()
        return Activation(version, old, seconds)

    async def _load(self, version: str, changes: Sequence[Change]) -> Deployment:
        """A bundle in an engine of its own, ready."""
        deployment = await asyncio.to_thread(self._open, version, None)
        try:
            await deployment.engine.start()
            await deployment.prepare(changes)
        except BaseException:
            await deployment.stop()
            raise
        return deployment

    def _open(self, version: str, engine: Engine | None) -> Deployment:
        bundle = self._open_version(self._settings, version)
        return Deployment(bundle, engine or self._make(bundle, self._settings.engine), self._settings.engine)

    async def _beside(self, version: str) -> None:
        assert self._current is not None
        before = self.current.catalogue.changes
        deployment = await self._load(version, list(before.values()))
        async with self._changing:
            taken = deployment.catalogue.changes
            late = [change for item_id, change in before.items() if taken.get(item_id) is not change]
            if late:
                await deployment.catalogue.apply(late)
            self._end(self._current.replace(deployment))

    async def _in_place(self, version: str) -> None:
        assert self._current is not None
        old = self.current
        deployment = await asyncio.to_thread(self._open, version, old.engine)
        self._admitting.clear()
        try:
            async with asyncio.timeout(self._settings.answer_timeout_seconds):
                await self._current.idle()
            async with self._changing:
                await self._exchange(old, deployment)
                self._current.replace(deployment)
            await old.catalogue.close()
        except TimeoutError as error:
            raise EngineError("requests under way did not end in time: try again") from error
        finally:
            self._admitting.set()

    async def _exchange(self, old: Deployment, new: Deployment) -> None:
        """Replace the weights in the one engine; where that fails, bring the old ones back."""
        if new.manifest.engine != old.manifest.engine:
            raise EngineError(
                f"{new.version} needs the {new.manifest.engine} engine, {old.manifest.engine} runs: load it beside"
            )
        try:
            await new.engine.reload(new.bundle)
            await new.prepare(list(old.catalogue.changes.values()))
        except Exception:
            await old.engine.reload(old.bundle)
            await old.catalogue.restore()
            raise

    def _end(self, old: Leased[Deployment]) -> None:
        """End a deployment when its last request is answered."""

        async def end() -> None:
            await old.idle()
            await old.value.stop()

        self._tasks.start(end())

    def _describe_in_metrics(self) -> None:
        manifest = self.current.manifest
        telemetry.MODEL.clear()
        telemetry.MODEL.labels(manifest.version, manifest.engine, manifest.identifiers).set(1)
        self.current.catalogue.describe_in_metrics()
