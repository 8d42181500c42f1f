"""Who answers now, and who is on the way in or out.

Whoever is left out is ended when its last request is answered. The catalogues of all that answer change together.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager

import structlog

from catalog.changes import Change, Outcome
from catalog.errors import CatalogError
from server import telemetry
from server.catalogue import LiveCatalogue
from server.deployment import Deployment
from server.engine.errors import EngineError, EngineUnavailable
from server.errors import StartupError
from server.garbage import set_aside_anew
from server.launcher import Launcher
from server.leases import Leased
from server.serving import Serving
from server.tasks import Tasks

__all__ = ["REFUSALS", "Roster"]

log = structlog.get_logger(__name__)

REFUSALS = (CatalogError, EngineError, StartupError)
"""What making a deployment ready may raise."""


class Roster:
    """The deployments that answer.

    starting: held by whoever starts, ends or reloads an engine: one at a time has the machine's memory, and vLLM starts
    in an environment that it changes. changing: held while catalogues change, so that a deployment which takes over
    inside misses nothing.
    """

    def __init__(self, launcher: Launcher) -> None:
        self.starting = asyncio.Lock()
        self.changing = asyncio.Lock()
        self._launcher = launcher
        self._serving: Serving | None = None
        self._admitting = asyncio.Event()
        self._tasks = Tasks()

    @property
    def serving(self) -> Serving:
        assert self._serving is not None, "begin() makes it"
        return self._serving

    @property
    def current(self) -> Deployment:
        return self.serving.current.value

    async def begin(self, version: str) -> None:
        """Admit requests, to this version. Raises CatalogError, StartupError and EngineError."""
        self.exchange(Leased(await self._launcher.launch(version, None)))
        self._admitting.set()

    @asynccontextmanager
    async def use(self, key: str | None) -> AsyncIterator[Deployment]:
        """Who answers a request with this key; it stays until the end of the block."""
        await self._admitting.wait()
        with self.serving.answering(key).use() as deployment:
            yield deployment

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Requests that come inside wait."""
        self._admitting.clear()
        try:
            yield
        finally:
            self._admitting.set()

    async def launch(self, version: str) -> Leased[Deployment]:
        """Another deployment, ready, with the current one's items; nobody asks it yet. Raises REFUSALS."""
        try:
            return Leased(await self._launcher.launch(version, self.current))
        except BaseException:
            self.forget(version)
            raise

    def serve(self, serving: Serving) -> None:
        """From the next request on."""
        left = [leased for leased in self.serving.live if leased not in serving.live]
        self._serve(serving)
        for leased in left:
            self._tasks.start(self._end(leased))

    def exchange(self, current: Leased[Deployment]) -> None:
        """Have it alone answer, in the engine of the one before."""
        self._serve(Serving(current))

    async def discard(self, *unused: Leased[Deployment]) -> None:
        """End what never got a request."""
        for leased in unused:
            await self._stop(leased)

    def forget(self, version: str) -> None:
        """Drop the metrics of a version, unless it answers."""
        if version not in self.serving.weights:
            telemetry.forget(version)

    async def change(self, changes: Sequence[Change], number: int, write: Callable[[], Awaitable[None]]) -> Outcome:
        """As `Deployments.change`."""
        async with self.changing:
            if not self.current.engine.alive:
                raise EngineUnavailable("items cannot be changed while the engine is started again: nothing is changed")
            outcome = await self.current.catalogue.apply(changes, number, write)
            await self._follow(lambda catalogue: catalogue.apply(changes, number))
            return outcome

    async def take_over(self, changes: Mapping[str, Change], number: int) -> None:
        """As `Deployments.take_over`."""
        async with self.changing:
            await self.current.catalogue.take_over(changes, number)
            await self._follow(lambda catalogue: catalogue.take_over(changes, number))

    async def close(self) -> None:
        """Admit nobody any more, and end every engine."""
        self._admitting.clear()
        await self._tasks.wait()
        if self._serving is not None:
            for leased in self._serving.live:
                await leased.value.stop()

    async def _follow(self, change: Callable[[LiveCatalogue], Awaitable[object]]) -> None:
        """Change the catalogues beside the current one; a model that cannot take what the current one took leaves."""
        for version, leased in self.serving.others.items():
            try:
                await change(leased.value.catalogue)
            except REFUSALS as error:
                if not leased.value.engine.alive:
                    continue  # what takes its place begins with the current items
                log.error("answers_no_more", version=version, reason=f"it could not take a change of items: {error}")
                self.serve(self.serving.without(version))

    def _serve(self, serving: Serving) -> None:
        self._serving = serving
        for leased in serving.live:
            leased.value.describe_in_metrics()
        telemetry.TRAFFIC_WEIGHT.clear()
        for version, weight in serving.weights.items():
            telemetry.TRAFFIC_WEIGHT.labels(version).set(weight)

    async def _end(self, leased: Leased[Deployment]) -> None:
        await leased.idle()
        await self._stop(leased)

    async def _stop(self, leased: Leased[Deployment]) -> None:
        await leased.value.stop()
        self.forget(leased.value.version)
        set_aside_anew()
