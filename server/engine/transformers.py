"""The engine for bundles that vLLM does not serve (T5): a transformers model in a thread of this process."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from catalog.errors import ItemIndexError
from catalog.ids.index import ItemIndex
from catalog.search.guidance import StaticPrior
from catalog.search.restriction import FilterBitmap
from catalog.search.transformers import TransformersRanker
from server.core.settings import EngineSettings
from server.engine.errors import EngineError, EngineUnavailable
from server.engine.installed_indexes import InstalledIndexes
from server.engine.protocol import PUBLISHED, RankableBundle, Ranking, RankRequest, check_limits, normalization

__all__ = ["TransformersEngine"]

Result = TypeVar("Result")


class TransformersEngine:
    """Implements `Engine`. Requests are answered one after another."""

    def __init__(self, bundle: RankableBundle, settings: EngineSettings | None = None) -> None:
        self._bundle = bundle
        self._settings = settings or EngineSettings()
        self._model: Any = None
        self._rankers: dict[int, TransformersRanker] = {}
        self._installed = InstalledIndexes()
        self._thread: ThreadPoolExecutor | None = None

    @property
    def alive(self) -> bool:
        """Whether it is started: a thread of this process does not die alone."""
        return self._model is not None

    async def start(self) -> None:
        """Load the model. Raises EngineError."""
        if self._thread is not None:
            raise EngineError("the engine is already started")
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="transformers-engine")
        try:
            await self._serve(self._bundle)
        except BaseException:
            await self.stop()
            raise

    async def reload(self, bundle: RankableBundle) -> None:
        """Load another model and its index, then replace the old ones. Raises EngineError; then the old ones stay."""
        await self.check()
        await self._serve(bundle)

    async def rank(self, request: RankRequest) -> Ranking:
        """The best leaves. Raises EngineError for a request over a limit, EngineUnavailable when not started."""
        await self.check()
        installed = self._installed[request.index_id]
        check_limits(request, self._settings, len(installed.index))
        ranker, chosen = self._rankers[request.index_id], installed.filter(request.filter_id)
        static = installed.static_prior
        try:
            return await self._in_thread(lambda: _rank(ranker, chosen, static, request))
        except ItemIndexError as error:
            raise EngineError(f"the prior of request {request.request_id} is refused: {error}") from error

    async def install(self, index_id: int, index: ItemIndex) -> None:
        """Hold this index under a number. Raises EngineError if it does not fit the model."""
        await self.check()
        self._rankers[index_id] = self._ranker(self._model, self._bundle, index)
        self._installed.install(index_id, index)

    async def retire(self, index_id: int) -> None:
        """Forget an index and its filter bitmaps."""
        self._installed.retire(index_id)
        self._rankers.pop(index_id, None)

    async def install_filter(self, index_id: int, filter_id: int, member_N: NDArray[np.bool_]) -> None:
        """Hold the leaves of an index that a filter lets through under a number. Raises EngineError."""
        await self.check()
        self._installed.install_filter(index_id, filter_id, member_N)

    async def retire_filter(self, index_id: int, filter_id: int) -> None:
        """Forget a filter bitmap."""
        self._installed.retire_filter(index_id, filter_id)

    async def install_static_prior(self, index_id: int, value_N: NDArray[np.floating]) -> None:
        """Hold the static prior of an index. Raises EngineError."""
        await self.check()
        await asyncio.to_thread(self._installed.install_static_prior, index_id, value_N)

    async def check(self) -> None:
        """Raises EngineUnavailable unless started."""
        if self._model is None:
            raise EngineUnavailable("the engine is not started: call start() first")

    async def stop(self) -> None:
        """Drop the model, after the request under way."""
        if self._thread is not None:
            thread, self._thread, self._model = self._thread, None, None
            self._rankers.clear()
            self._installed.clear()
            await asyncio.to_thread(thread.shutdown, cancel_futures=True)

    async def _serve(self, bundle: RankableBundle) -> None:
        model = await self._in_thread(lambda: self._load(bundle))
        ranker = self._ranker(model, bundle, bundle.index)
        if self._thread is None:
            raise EngineUnavailable("the engine was stopped while it loaded a model")
        self._model, self._bundle = model, bundle
        self._rankers = {PUBLISHED: ranker}
        self._installed.clear()
        self._installed.install(PUBLISHED, bundle.index)

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise EngineUnavailable("the engine was stopped") from None  # by `stop`, before the thread got to it

    def _ranker(self, model: Any, bundle: RankableBundle, index: ItemIndex) -> TransformersRanker:
        try:
            normalize = normalization(bundle, self._settings)
            return TransformersRanker(model, index, bundle.level_tokens, normalize=normalize)
        except (ItemIndexError, ValueError) as error:
            raise EngineError(str(error)) from error

    def _load(self, bundle: RankableBundle) -> Any:
        from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM

        try:
            config = AutoConfig.from_pretrained(bundle.model_dir, local_files_only=True)
            family: Any = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
            return family.from_pretrained(
                bundle.model_dir, dtype=self._settings.dtype, use_safetensors=True, local_files_only=True
            )
        except Exception as error:
            raise EngineError(f"transformers cannot load {bundle.model_dir}: {error}") from error


def _rank(
    ranker: TransformersRanker, chosen: FilterBitmap | None, static: StaticPrior | None, request: RankRequest
) -> Ranking:
    (((leaves, scores), score_KL),) = ranker.rank_by_level(
        [request.prompt],
        request.width,
        deny=[np.asarray(request.deny, np.int64)],
        allow=[None if request.allow is None else np.asarray(request.allow, np.int64)],
        filters=[chosen],
        priors=[request.prior],
        static=static,
    )
    k = request.k
    return Ranking.of(leaves[:k], scores[:k], score_KL[:k] if request.by_level else None)
