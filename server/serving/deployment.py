"""A deployment: one bundle, the engine that runs its model, and its live catalog."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from catalog.bundle.bundle import Bundle, open_bundle
from catalog.bundle.manifest import Manifest
from catalog.bundle.source import BundleSource
from catalog.errors import CatalogError, FilterError
from catalog.text.prompts import Task
from server.core import metrics, tracing
from server.core.errors import Problem, StartupError
from server.core.settings import EngineSettings, Settings
from server.engine.protocol import Engine, Ranking, RankRequest
from server.retrieval.live_catalog import LiveCatalog
from server.storage.protocol import PathStore

__all__ = ["AnswerQuality", "Deployment", "make_engine", "open_served_bundle"]


@dataclass(slots=True)
class AnswerQuality:
    """What an answer turns out to be. degraded: something is missing that it should build on."""

    degraded: bool = False


class Deployment:
    """One bundle, served by one engine."""

    def __init__(self, bundle: Bundle, engine: Engine, paths: PathStore | None = None) -> None:
        """paths: as of `LiveCatalog`."""
        self.bundle = bundle
        self.engine = engine
        self.catalog = LiveCatalog(bundle, engine, paths)
        self._in_engine = metrics.ENGINE_REQUESTS.labels(bundle.version)

    @property
    def manifest(self) -> Manifest:
        return self.bundle.manifest

    @property
    def version(self) -> str:
        return self.bundle.version

    async def catch_up(self, source: LiveCatalog) -> None:
        """Take over the changes of another catalog that are not here yet.

        Raises CatalogError where that catalog took a change which this one cannot take, and HistoryUnavailable where
        the servers cannot agree on the paths of new items.
        """
        if source.version == self.version:
            self.catalog.adopt_paths(source)
        number, taken = source.searcher.snapshot.number, self.catalog.changes
        if number != self.catalog.searcher.snapshot.number:
            late = {item_id: change for item_id, change in source.changes.items() if taken.get(item_id) is not change}
            await self.catalog.apply_remote(late, number)
        for item_id, reason in self.catalog.rejected.items():
            if item_id not in source.rejected:
                raise CatalogError(f"{self.version} cannot take the change of {item_id!r} that is served now: {reason}")

    @contextmanager
    def record_outcome(self, task: Task, timeout: asyncio.Timeout, quality: AnswerQuality) -> Iterator[None]:
        """Count a query that came to this model, and what became of it.

        timeout: ends the query when it is late.
        quality: of the answer, as it is when the block ends.
        """
        outcome: metrics.Outcome = "failed"
        try:
            yield
            outcome = "degraded" if quality.degraded else "ok"
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
        """The engine's ranking, with its time measured. Raises EngineError."""
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
        """Stop the engine."""
        await self.catalog.close()
        self.catalog.priors.close()
        await self.engine.stop()


def open_served_bundle(settings: Settings, version: str, bundles: BundleSource) -> Bundle:
    """Open a bundle by its version and check every file.

    bundles: where it is found, and stays.
    Raises CatalogError that names the file where one is missing, incomplete or damaged, and StartupError where the
    bundle does not fit the settings.
    """
    bundle = open_bundle(bundles.path(version))
    if bundle.prompts.max_tokens > settings.engine.max_prompt_tokens:
        raise StartupError(
            f"prompts of {bundle.path} have up to {bundle.prompts.max_tokens} tokens and the engine takes "
            f"{settings.engine.max_prompt_tokens}: raise --engine.max-prompt-tokens"
        )
    return bundle


def make_engine(bundle: Bundle, settings: EngineSettings) -> Engine:
    """The engine that a bundle's model needs, not started yet."""
    # Prompts get no longer than this: a model need not have room for more.
    limits = settings.model_copy(update={"max_prompt_tokens": bundle.prompts.max_tokens})
    # Imported here, because vLLM takes seconds that a T5 bundle need not pay.
    if bundle.manifest.engine == "vllm":
        from server.engine.vllm.frontend.client import VllmEngine

        return VllmEngine(bundle, limits)
    from server.engine.transformers import TransformersEngine

    return TransformersEngine(bundle, limits)
