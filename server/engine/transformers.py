"""The engine for bundles that vLLM does not serve (T5): a transformers model, searched in a thread of this process."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from catalog.search.transformers import TransformersRanker
from server.engine.errors import EngineError, EngineUnavailable
from server.engine.protocol import RankableBundle, Ranking, RankRequest
from server.engine.settings import EngineSettings

__all__ = ["TransformersEngine"]


class TransformersEngine:
    """Implements `Engine`; requests are answered one after another."""

    def __init__(self, bundle: RankableBundle, settings: EngineSettings | None = None) -> None:
        self._bundle = bundle
        self._settings = settings or EngineSettings()
        self._ranker: TransformersRanker | None = None
        self._thread: ThreadPoolExecutor | None = None

    async def start(self) -> None:
        """Load the model. Raises EngineError."""
        if self._thread is not None:
            raise EngineError("the engine is already started")
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="transformers-engine")
        try:
            self._ranker = await asyncio.get_running_loop().run_in_executor(self._thread, self._load)
        except Exception as error:
            await self.stop()
            raise EngineError(f"transformers cannot load {self._bundle.model_dir}: {error}") from error

    async def rank(self, request: RankRequest) -> Ranking:
        """The best leaves. Raises EngineError for a request over a limit, EngineUnavailable when not started."""
        await self.check()
        self._settings.admit(request, len(self._bundle.index))
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._rank, request)

    async def check(self) -> None:
        """Raises EngineUnavailable unless started."""
        if self._ranker is None:
            raise EngineUnavailable("the engine is not started: call start() first")

    async def stop(self) -> None:
        """Drop the model, after the request under way."""
        if self._thread is not None:
            thread, self._thread, self._ranker = self._thread, None, None
            await asyncio.to_thread(thread.shutdown, cancel_futures=True)

    def _load(self) -> TransformersRanker:
        from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM

        config = AutoConfig.from_pretrained(self._bundle.model_dir, local_files_only=True)
        family: Any = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
        model = family.from_pretrained(
            self._bundle.model_dir, dtype=self._settings.dtype, use_safetensors=True, local_files_only=True
        )
        return TransformersRanker(
            model, self._bundle.index, self._bundle.level_tokens, normalize=self._settings.normalize
        )

    def _rank(self, request: RankRequest) -> Ranking:
        if self._ranker is None:
            raise EngineUnavailable("the engine was stopped")
        excluded = np.asarray(request.excluded, np.int64)
        ((leaves, scores),) = self._ranker.rank([request.prompt], request.width, excluded=[excluded])
        return Ranking.of(leaves[: request.k], scores[: request.k])
