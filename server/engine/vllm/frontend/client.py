"""The engine that serves decoder-only bundles: vLLM in a process of its own, called asynchronously."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catalog.ids.index import ItemIndex
from catalog.search.guidance import NO_PRIOR
from server.core.settings import EngineSettings
from server.engine.errors import EngineError, EngineUnavailable
from server.engine.protocol import PUBLISHED, RankableBundle, Ranking, RankRequest, check_limits, normalization
from server.engine.vllm.frontend.config import Checkpoint
from server.engine.vllm.frontend.index_files import IndexFiles
from server.engine.vllm.frontend.launch import Launch, shut_down
from server.engine.vllm.frontend.watchdog import CHECK_SECONDS, Watchdog, answered
from server.engine.vllm.messages import NOT_INSTALLED, TASK, pack_mask, pack_tokens, to_extra_kwargs
from server.engine.weights_digest import checkpoint_digest

__all__ = ["VllmEngine"]

DIED = "the engine's process died"

WARM_UP_WIDTH = 50

INSTALL_SECONDS = 120.0
"""Reading a million items takes less than one."""

LOAD_SECONDS = 600.0
"""Reading weights takes about a second a gigabyte from a good disk."""


def _finite_bytes(value_N: NDArray[np.floating]) -> bytes:
    """As float32. Raises EngineError."""
    if not np.isfinite(value_N).all():
        raise EngineError("the static prior has values that are not finite numbers")
    return value_N.astype(np.float32).tobytes()


class VllmEngine:
    """Implements `Engine` with vLLM. Every request is one pooling request, batched by vLLM's scheduler."""

    def __init__(self, bundle: RankableBundle, settings: EngineSettings | None = None) -> None:
        self._bundle = bundle
        self._settings = settings or EngineSettings()
        self._checkpoint: Checkpoint | None = None
        self._max_depth = bundle.index.depth
        self._index_files = IndexFiles()
        self._llm: Any = None
        self._watchdog: Watchdog | None = None

    @property
    def alive(self) -> bool:
        """Whether vLLM's process runs; one that hangs is killed after `hang_seconds`."""
        return self._llm is not None and not self._llm.errored

    async def start(self) -> None:
        """Start vLLM's process, load the model, install the items and answer a first request.

        Raises EngineError. If it raises or is cancelled, no process is left.
        """
        if self._llm is not None:
            raise EngineError("the engine is already started")
        bundle = self._bundle
        self._checkpoint = await asyncio.to_thread(Checkpoint.read, bundle.model_dir)
        self._max_depth = bundle.index.depth
        self._settings = self._settings.within(self._checkpoint.positions - self._max_depth)
        self._llm = await Launch(bundle, self._checkpoint, self._settings).run()
        try:
            await self._serve(bundle)
        except BaseException:
            await self.stop()
            raise
        self._watchdog = Watchdog(self._running(), self._settings.hang_seconds)

    async def reload(self, bundle: RankableBundle) -> None:
        """Replace weights and items by another bundle's, as `Engine` says. Raises EngineError."""
        await self._check_fits(bundle)
        assert self._watchdog is not None
        with self._watchdog.paused():
            await self._reset_prefix_cache()
            await self._call("reload_weights", timeout=LOAD_SECONDS, weights_path=str(bundle.model_dir.resolve()))
            await self._reset_prefix_cache()  # its keys and values are of the old weights
            await self._serve(bundle)

    async def rank(self, request: RankRequest) -> Ranking:
        """The best leaves. Raises EngineError for a request over a limit, EngineUnavailable where no process runs."""
        from vllm import PoolingParams
        from vllm.exceptions import VLLMClientError
        from vllm.inputs.engine import tokens_input
        from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError

        llm = self._running()
        check_limits(request, self._settings, self._index_files.leaves(request.index_id))
        params = PoolingParams(
            task=TASK,
            extra_kwargs=to_extra_kwargs(request),
            skip_reading_prefix_cache=False,  # this task would skip it
        )
        prompt = tokens_input(self._known_tokens(request))
        try:
            async for output in llm.encode(prompt, params, request.request_id):
                answer = output.outputs.data.numpy()
        except EngineDeadError as error:
            raise EngineUnavailable(DIED) from error
        except (VLLMClientError, EngineGenerateError) as error:
            if llm.errored:  # it died while it was being asked
                raise EngineUnavailable(DIED) from error
            raise EngineError(f"the engine refused request {request.request_id}: {error}") from error
        if answer.shape == NOT_INSTALLED.shape:
            raise EngineError(f"filter {request.filter_id} of index {request.index_id} is not installed")
        return Ranking.of(answer[0], answer[1], answer[2:].T if request.by_level else None)

    async def install(self, index_id: int, index: ItemIndex) -> None:
        """Hold this index under a number, from the next step on. Raises EngineError; then nothing is held."""
        self._running()
        try:
            directory = await asyncio.to_thread(self._index_files.put, index_id, index)
            await self._call("install_index", index_id, str(directory), timeout=INSTALL_SECONDS)
        except OSError as error:
            self._index_files.remove(index_id)
            raise EngineError(f"the index cannot be saved where the engine finds it: {error}") from error
        except BaseException:
            self._index_files.remove(index_id)
            raise

    async def retire(self, index_id: int) -> None:
        """Forget an index and its filter bitmaps."""
        self._index_files.remove(index_id)
        await self._call("retire_index", index_id, timeout=INSTALL_SECONDS)

    async def install_filter(self, index_id: int, filter_id: int, member_N: NDArray[np.bool_]) -> None:
        """Hold the leaves of an index that a filter lets through under a number. Raises EngineError."""
        leaves = self._index_files.leaves(index_id)
        if len(member_N) != leaves:
            raise EngineError(f"a filter of {len(member_N)} leaves does not fit index {index_id}, which has {leaves}")
        await self._call("install_filter", index_id, filter_id, pack_mask(member_N), timeout=INSTALL_SECONDS)

    async def retire_filter(self, index_id: int, filter_id: int) -> None:
        """Forget a filter bitmap."""
        await self._call("retire_filter", index_id, filter_id, timeout=INSTALL_SECONDS)

    async def install_static_prior(self, index_id: int, value_N: NDArray[np.floating]) -> None:
        """Hold the static prior of an index, one value for every leaf. Raises EngineError."""
        leaves = self._index_files.leaves(index_id)
        if value_N.shape != (leaves,):
            raise EngineError(f"a prior of {len(value_N)} leaves does not fit index {index_id}, which has {leaves}")
        values = await asyncio.to_thread(_finite_bytes, value_N)
        await self._call("install_static_prior", index_id, values, timeout=INSTALL_SECONDS)

    async def check(self) -> None:
        """Return when the engine's process answers. Raises EngineUnavailable."""
        await self.statistics()

    async def statistics(self) -> dict[str, int]:
        """Counts since the weights were loaded; see ItemWorkerExtension. Raises EngineUnavailable."""
        counts: dict[str, int] = await self._call("item_statistics", timeout=CHECK_SECONDS)
        return counts

    async def stop(self) -> None:
        """Stop the engine's process and wait until it is gone; requests under way raise EngineUnavailable."""
        if self._llm is None:
            return
        from vllm.v1.engine.exceptions import EngineDeadError

        llm, self._llm = self._llm, None
        if self._watchdog is not None:
            self._watchdog.stop()
            self._watchdog = None
        llm.output_processor.propagate_error(EngineDeadError())
        if llm.output_handler is not None:
            llm.output_handler.cancel()
        self._index_files.clear()
        await shut_down(llm)

    async def _serve(self, bundle: RankableBundle) -> None:
        """Install the items of the bundle whose weights are loaded, and answer a first request."""
        codes = pack_tokens(bundle.level_tokens), normalization(bundle, self._settings)
        loaded: str = await self._call("install_codes", *codes, timeout=INSTALL_SECONDS)
        if loaded != await asyncio.to_thread(checkpoint_digest, bundle.model_dir):
            raise EngineError(f"the weights that the engine has loaded are not those in {bundle.model_dir}")
        self._bundle = bundle
        self._index_files.clear()
        self._index_files.reference(PUBLISHED, bundle.index)
        directory = str(bundle.index_dir.resolve())
        await self._call("install_index", PUBLISHED, directory, timeout=INSTALL_SECONDS)
        width = min(WARM_UP_WIDTH, self._settings.max_width)
        await self.rank(RankRequest([0], 1, width, "warm-up", prior=NO_PRIOR))  # guided, to compile that too

    async def _check_fits(self, bundle: RankableBundle) -> None:
        """Raise EngineError unless the model that is loaded can hold the bundle's weights."""
        self._running()
        assert self._checkpoint is not None
        different = self._checkpoint.differences(Checkpoint.read(bundle.model_dir))
        if different:
            raise EngineError(
                f"{bundle.model_dir} cannot be loaded in place, its config.json differs in {', '.join(different)}:"
                " use --rollout surge"
            )
        if bundle.index.depth > self._max_depth:
            raise EngineError(
                f"{bundle.model_dir} cannot be loaded in place, its identifiers have {bundle.index.depth} codes and"
                f" there is room for {self._max_depth}: use --rollout surge"
            )

    async def _reset_prefix_cache(self) -> None:
        llm = self._running()
        if not await self._answered(llm, llm.reset_prefix_cache(), "reset_prefix_cache", INSTALL_SECONDS):
            raise EngineError("the prefix cache is in use: wait until no request is under way")

    def _known_tokens(self, request: RankRequest) -> list[int]:
        """The prompt. Raises EngineError for a token outside the vocabulary, which vLLM's process would not survive."""
        tokens = np.asarray(request.prompt, np.int64)
        assert self._checkpoint is not None
        vocabulary = self._checkpoint.vocabulary
        if tokens.min() < 0 or tokens.max() >= vocabulary:
            raise EngineError(
                f"tokens [{tokens.min()}, {tokens.max()}] reach outside the model's vocabulary of {vocabulary}:"
                " render prompts with the tokenizer of the same bundle"
            )
        known: list[int] = tokens.tolist()
        return known

    def _running(self) -> Any:
        if self._llm is None:
            raise EngineUnavailable("the engine is not started: call start() first")
        return self._llm

    async def _call(self, method: str, *arguments: Any, timeout: float, **named: Any) -> Any:
        """What the first worker returns; the method of ItemWorkerExtension is called in every one."""
        llm = self._running()
        return (await self._answered(llm, llm.collective_rpc(method, args=arguments, kwargs=named), method, timeout))[0]

    async def _answered(self, llm: Any, call: Coroutine[Any, Any, Any], method: str, timeout: float) -> Any:
        from vllm.v1.engine.exceptions import EngineDeadError

        try:
            return await answered(llm, call, timeout)
        except EngineDeadError as error:
            raise EngineUnavailable(DIED) from error
        except TimeoutError as error:
            raise EngineUnavailable(f"the engine has not answered for {timeout} s") from error
        except Exception as error:
            if llm.errored:  # it died while it was being asked
                raise EngineUnavailable(DIED) from error
            raise EngineError(f"{method} failed in the engine: {error}") from error
