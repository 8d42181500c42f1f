"""What is loaded: a bundle, the engine that runs its model, and its catalog. They change together."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from catalog.bundle.bundle import Bundle, open_bundle
from catalog.bundle.manifest import Manifest
from catalog.errors import CatalogError, FilterError
from catalog.text.prompts import Task
from server.core import metrics, tracing
from server.core.errors import Problem, StartupError
from server.core.settings import EngineSettings, Settings
from server.engine.protocol import Engine, Ranking, RankRequest
from server.retrieval.live_catalog import LiveCatalog
from server.serving.verification import verify

__all__ = ["Deployment", "make_engine", "open_served_bundle"]


class Deployment:
    """One bundle, being served by one engine."""

    def __init__(self, bundle: Bundle, engine: Engine, settings: EngineSettings) -> None:
        self.bundle = bundle
        self.engine = engine
        self.catalog = LiveCatalog(bundle, engine)
        self._settings = settings
        self._in_engine = metrics.ENGINE_REQUESTS.labels(bundle.version)

    @property
    def manifest(self) -> Manifest:
        return self.bundle.manifest

    @property
    def version(self) -> str:
        return self.bundle.version

    async def prepare(self, before: LiveCatalog | None = None) -> None:
        """Have the engine, which has loaded the bundle, prove itself and take over what was changed in the catalog
        `before`. Raises EngineError, and CatalogError where that catalog took a change which this one cannot take."""
        await verify(self.bundle, self.engine, self._settings)
        if before is not None:
            await self.follow(before)
        with self.catalog.use() as searcher:
            async with searcher.eligible.limit(None):  # before anybody waits for it
                pass

    async def follow(self, before: LiveCatalog) -> None:
        """Take over what was changed in another catalog, and is not yet here. Raises CatalogError as `prepare`."""
        number, taken = before.searcher.snapshot.number, self.catalog.changes
        if number != self.catalog.searcher.snapshot.number:
            late = {item_id: change for item_id, change in before.changes.items() if taken.get(item_id) is not change}
            await self.catalog.apply_remote(late, number)
        for item_id, reason in self.catalog.rejected.items():
            if item_id not in before.rejected:
                raise CatalogError(f"{self.version} cannot take the change of {item_id!r} that is served now: {reason}")

    @contextmanager
    def answering(self, task: Task, timeout: asyncio.Timeout, *, degraded: bool) -> Iterator[None]:
        """Counts a question that came to this model, and what became of it. timeout: that ends it when it is late."""
        outcome: metrics.Outcome = "failed"
        try:
            yield
            outcome = "degraded" if degraded else "ok"
        except (FilterError, Problem):
            outcome = "refused"
            raise
        except asyncio.CancelledError:
            if not timeout.expired():  # the client has left
                outcome = "refused"
            raise
        finally:
            metrics.ANSWERS.labels(task, self.version, outcome).inc()

    async def rank(self, request: RankRequest, task: Task) -> Ranking:
        """The engine's answer, measured. Raises EngineError."""
        tokens = len(request.prompt)
        metrics.PROMPT_TOKENS.labels(task).observe(tokens)
        metrics.BEAM_WIDTH.labels(task).observe(request.width)
        with (
            self._in_engine.track_inprogress(),
            metrics.ENGINE_SECONDS.labels(task).time(),
            tracing.span("engine", model=self.version, prompt_tokens=tokens, beam_width=request.width),
        ):
            return await self.engine.rank(request)

    def describe_in_metrics(self) -> None:
        """Set the gauges of the model and of its catalog."""
        metrics.MODEL.labels(self.version, self.manifest.engine, self.manifest.identifiers).set(1)
        metrics.ENGINE_RESTARTS.labels(self.version)  # so that the first one is an increase
        self.catalog.describe_in_metrics()

    async def stop(self) -> None:
        """End the engine."""
        await self.catalog.close()
        await self.engine.stop()


def open_served_bundle(settings: Settings, version: str) -> Bundle:
    """Opens and verifies a bundle by name.

    Raises CatalogError, naming the file, where it is missing, incomplete or damaged, and StartupError where it does not
    fit the settings.
    """
    bundle = open_bundle(settings.bundles / version)
    if bundle.prompts.max_tokens > settings.engine.max_prompt_tokens:
        raise StartupError(
            f"prompts of {bundle.path} have up to {bundle.prompts.max_tokens} tokens and the engine takes "
            f"{settings.engine.max_prompt_tokens}: raise --engine.max-prompt-tokens"
        )
    return bundle


def make_engine(bundle: Bundle, settings: EngineSettings) -> Engine:
    """The engine that the bundle's model needs. Imported here: vLLM takes seconds that a T5 bundle need not pay."""
    # No longer than prompts get: a model need not have room for more.
    limits = settings.model_copy(update={"max_prompt_tokens": bundle.prompts.max_tokens})
    if bundle.manifest.engine == "vllm":
        from server.engine.vllm.frontend.client import VllmEngine

        return VllmEngine(bundle, limits)
    from server.engine.transformers import TransformersEngine

    return TransformersEngine(bundle, limits)
