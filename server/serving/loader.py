"""Loading: how a published bundle becomes a deployment that is ready to answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from catalog.bundle.bundle import Bundle
from server.core.settings import EngineSettings, Settings
from server.engine.errors import EngineError
from server.engine.protocol import Engine, RankRequest, normalization
from server.retrieval.live_catalog import LiveCatalog
from server.serving.deployment import Deployment
from server.serving.rollout_log import RolloutLog
from server.storage.protocol import PathStore

__all__ = ["Loader", "warm_up_check"]

log = structlog.get_logger(__name__)


async def warm_up_check(bundle: Bundle, engine: Engine, settings: EngineSettings) -> None:
    """Ask an engine the bundle's golden queries: it must answer as the model did when it was published.

    A bundle from before there were any, and an engine that normalises otherwise than they were asked, are not checked.

    Raises EngineError that says which answer is wrong and how.
    """
    golden = bundle.golden
    if golden is None or golden.normalize != normalization(bundle, settings) or golden.width > settings.max_width:
        log.warning("warm_up_check_skipped", version=bundle.version)
        return
    for number, question in enumerate(golden.queries, start=1):
        fault = golden.check_prompt(question, bundle.prompts, bundle.items)
        if fault is None:
            width = min(golden.width, len(bundle.index))
            ranking = await engine.rank(RankRequest(question.tokens, width, width, f"golden-{number}"))
            fault = golden.check(question, ranking.leaves, ranking.scores)
        if fault is not None:
            raise EngineError(f"bundle {bundle.version} fails golden query {number}: {fault}")


class Loader:
    """Makes deployments ready.

    open_bundle: opens a bundle by its version.
    make_engine: makes the engine that a bundle's model needs, not started yet.
    paths: where the paths of new items are agreed on; None where this server shares with no other.
    log: is told how far each version is.
    """

    def __init__(
        self,
        settings: Settings,
        open_bundle: Callable[[Settings, str], Bundle],
        make_engine: Callable[[Bundle, EngineSettings], Engine],
    ) -> None:
        self._settings = settings
        self._open_bundle = open_bundle
        self._make_engine = make_engine
        self.paths: PathStore | None = None
        self.log = RolloutLog()

    async def load(self, version: str, source: LiveCatalog | None = None) -> Deployment:
        """A deployment of this version in an engine of its own, ready.

        source: the catalog whose changes it applies.

        Raises CatalogError, EngineError, StartupError and, where there is a `source`, HistoryUnavailable. If it raises
        or is cancelled, nothing of it is left.
        """
        self.log.step(version, "loading")
        deployment = await asyncio.to_thread(self._open, version, None)
        # Counting the words of a million items takes as long as an engine's start.
        loading = asyncio.ensure_future(deployment.catalog.load())
        try:
            await deployment.engine.start()
            await loading
            await self.prepare(deployment, source)
        except BaseException:
            loading.cancel()
            await asyncio.gather(loading, return_exceptions=True)
            await deployment.stop()
            raise
        return deployment

    async def open_for(self, engine: Engine, version: str) -> Deployment:
        """A deployment of this version for a running engine that has yet to load its model.

        Raises CatalogError and StartupError.
        """
        self.log.step(version, "loading")
        deployment = await asyncio.to_thread(self._open, version, engine)
        await deployment.catalog.load()
        return deployment

    async def prepare(self, deployment: Deployment, source: LiveCatalog | None = None) -> None:
        """Check a deployment whose engine has loaded its model, and have it catch up with another catalog.

        Raises EngineError, CatalogError where priors are damaged or `source` took a change which this catalog cannot
        take, and HistoryUnavailable as `Deployment.catch_up`.
        """
        self.log.step(deployment.version, "checking")
        await warm_up_check(deployment.bundle, deployment.engine, self._settings.engine)
        self.log.step(deployment.version, "catching_up")
        await deployment.catalog.install_prior()
        if source is not None:
            await deployment.catch_up(source)
        with deployment.catalog.use() as searcher:
            async with searcher.eligible.limit(None):  # install what every query needs before the first one waits
                pass

    def _open(self, version: str, engine: Engine | None) -> Deployment:
        bundle = self._open_bundle(self._settings, version)
        return Deployment(bundle, engine or self._make_engine(bundle, self._settings.engine), self.paths)
