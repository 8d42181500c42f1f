"""Who answers now, and who is on the way in or out.

Whoever is left out is ended when its last request is answered. The catalogs of all that answer change together.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager

import structlog

from catalog.data.changes import Change, Outcome
from catalog.errors import CatalogError
from server.core import metrics
from server.core.errors import StartupError
from server.core.process import gc_refreeze
from server.core.refcount import RefCounted
from server.core.tasks import Tasks
from server.engine.errors import EngineError, EngineUnavailable
from server.retrieval.live_catalog import LiveCatalog
from server.serving.deployment import Deployment
from server.serving.loader import Loader
from server.serving.routing_table import RoutingTable

__all__ = ["REFUSALS", "Router"]

log = structlog.get_logger(__name__)

REFUSALS = (CatalogError, EngineError, StartupError)
"""What making a deployment ready may raise."""


class Router:
    """The deployments that answer.

    starting: held by whoever starts, ends or reloads an engine: one at a time has the machine's memory, and vLLM starts
    in an environment that it changes. changing: held while catalogs change, so that a deployment which takes over
    inside misses nothing.
    """

    def __init__(self, launcher: Loader) -> None:
        self.starting = asyncio.Lock()
        self.changing = asyncio.Lock()
        self._launcher = launcher
        self._serving: RoutingTable | None = None
        self._admitting = asyncio.Event()
        self._tasks = Tasks()

    @property
    def serving(self) -> RoutingTable:
        assert self._serving is not None, "begin() makes it"
        return self._serving

    @property
    def current(self) -> Deployment:
        return self.serving.current.value

    async def begin(self, version: str) -> None:
        """Admit requests, to this version. Raises CatalogError, StartupError and EngineError."""
        self.exchange(RefCounted(await self._launcher.launch(version, None)))
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

    async def launch(self, version: str) -> RefCounted[Deployment]:
        """Another deployment, ready, with the current one's items; nobody asks it yet. Raises REFUSALS."""
        try:
            return RefCounted(await self._launcher.launch(version, self.current))
        except BaseException:
            self.forget(version)
            raise

    def serve(self, serving: RoutingTable) -> None:
        """From the next request on."""
        left = [leased for leased in self.serving.live if leased not in serving.live]
        self._serve(serving)
        for leased in left:
            self._tasks.start(self._end(leased))

    def exchange(self, current: RefCounted[Deployment]) -> None:
        """Have it alone answer, in the engine of the one before."""
        self._serve(RoutingTable(current))

    async def discard(self, *unused: RefCounted[Deployment]) -> None:
        """End what never got a request."""
        for leased in unused:
            await self._stop(leased)

    def forget(self, version: str) -> None:
        """Drop the metrics of a version, unless it answers."""
        if version not in self.serving.weights:
            metrics.forget(version)

    async def change(self, changes: Sequence[Change], number: int, write: Callable[[], Awaitable[None]]) -> Outcome:
        """As `Deployments.change`."""
        async with self.changing:
            if not self.current.engine.alive:
                raise EngineUnavailable("items cannot be changed while the engine is started again: nothing is changed")
            outcome = await self.current.catalog.apply(changes, number, write)
            await self._follow(lambda catalog: catalog.apply(changes, number))
            return outcome

    async def apply_remote(self, changes: Mapping[str, Change], number: int) -> None:
        """As `Deployments.apply_remote`."""
        async with self.changing:
            await self.current.catalog.apply_remote(changes, number)
            await self._follow(lambda catalog: catalog.apply_remote(changes, number))

    async def close(self) -> None:
        """Admit nobody any more, and end every engine."""
        self._admitting.clear()
        await self._tasks.wait()
        if self._serving is not None:
            for leased in self._serving.live:
                await leased.value.stop()

    async def _follow(self, change: Callable[[LiveCatalog], Awaitable[object]]) -> None:
        """Change the catalogs beside the current one; a model that cannot take what the current one took leaves."""
        for version, leased in self.serving.others.items():
            try:
                await change(leased.value.catalog)
            except REFUSALS as error:
                if not leased.value.engine.alive:
                    continue  # what takes its place begins with the current items
                log.error("answers_no_more", version=version, reason=f"it could not take a change of items: {error}")
                self.serve(self.serving.without(version))

    def _serve(self, serving: RoutingTable) -> None:
        self._serving = serving
        for leased in serving.live:
            leased.value.describe_in_metrics()
        metrics.TRAFFIC_WEIGHT.clear()
        for version, weight in serving.weights.items():
            metrics.TRAFFIC_WEIGHT.labels(version).set(weight)

    async def _end(self, leased: RefCounted[Deployment]) -> None:
        await leased.idle()
        await self._stop(leased)

    async def _stop(self, leased: RefCounted[Deployment]) -> None:
        await leased.value.stop()
        self.forget(leased.value.version)
        gc_refreeze()
