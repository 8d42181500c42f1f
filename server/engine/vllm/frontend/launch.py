"""The start of vLLM's process: a blocking affair of many seconds, done in a thread, that can be given up."""

import asyncio
import importlib
import multiprocessing
import threading
import traceback
from contextlib import nullcontext
from multiprocessing.process import BaseProcess
from typing import Any

import structlog

from server.core.settings import EngineSettings
from server.engine.errors import EngineError
from server.engine.protocol import RankableBundle
from server.engine.vllm.frontend.config import Checkpoint, engine_arguments
from server.engine.vllm.frontend.environment import (
    check_socket_folder,
    engine_environment,
    is_cpu_build,
    prepare_openmp,
)
from server.engine.vllm.frontend.fork_server import FORK_SERVER, LOST

__all__ = ["Launch", "shut_down"]

log = structlog.get_logger(__name__)

STOP_SECONDS = 20.0
"""What a process with workers may take to end by itself before it is killed."""

POLL_SECONDS = 0.05
PROCESS_NAME = "EngineCore"
"""What vLLM's name of its process begins with."""

SLOW_IMPORTS = ("torch", "transformers", "vllm", "vllm.engine.arg_utils", "vllm.v1.engine.async_llm")


class GivenUp(Exception):
    """Whoever waited for the start waits no more."""


class Launch:
    """One start of vLLM for a bundle."""

    def __init__(self, bundle: RankableBundle, checkpoint: Checkpoint, settings: EngineSettings) -> None:
        self._bundle = bundle
        self._checkpoint = checkpoint
        self._settings = settings
        self._given_up = threading.Event()
        self._others: set[BaseProcess] | None = None
        self._may_be_forked = settings.tensor_parallel == 1  # several workers are bound to processors as OpenMP starts

    async def run(self) -> Any:
        """The running AsyncLLM. Raises EngineError.

        A caller that is cancelled waits until the thread has come to an end, which takes no longer than an import: the
        process it has started is killed.
        """
        starting = asyncio.get_running_loop().run_in_executor(None, self._start)
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            await asyncio.shield(asyncio.ensure_future(self._give_up(starting)))
            raise

    async def _give_up(self, starting: "asyncio.Future[Any]") -> None:
        self._given_up.set()
        while not starting.done():
            for process in self._processes():
                log.info("engine_start_given_up", pid=process.pid)
                process.kill()
            await asyncio.wait([starting], timeout=POLL_SECONDS)
        if starting.exception() is None:
            await shut_down(starting.result())

    def _processes(self) -> list[BaseProcess]:
        """What this start has started: no other one goes on in this process."""
        if self._others is None:
            return []
        new = set(multiprocessing.active_children()) - self._others
        return [process for process in new if process.name.startswith(PROCESS_NAME)]

    def _start(self) -> Any:
        check_socket_folder()
        with engine_environment():
            if is_cpu_build():
                prepare_openmp(self._settings.tensor_parallel)
                if self._may_be_forked:
                    FORK_SERVER.begin()
            for name in SLOW_IMPORTS:
                self._check()
                importlib.import_module(name)
            from vllm.engine.arg_utils import AsyncEngineArgs
            from vllm.platforms import current_platform
            from vllm.v1.engine.async_llm import AsyncLLM

            from server.engine.vllm.frontend.stats import PrefixCacheCounts

            cpu = bool(current_platform.is_cpu())
            if cpu:
                prepare_openmp(self._settings.tensor_parallel)
            self._others = set(multiprocessing.active_children())
            self._check()
            try:
                arguments = engine_arguments(self._bundle, self._checkpoint, self._settings, cpu=cpu)
                with FORK_SERVER.forks_for_vllm() if self._may_be_forked else nullcontext():
                    return AsyncLLM.from_engine_args(AsyncEngineArgs(**arguments), stat_loggers=[PrefixCacheCounts])
            except Exception as error:
                _release(error)
                raise EngineError(f"vLLM cannot serve {self._bundle.model_dir}: {error}") from error

    def _check(self) -> None:
        if self._given_up.is_set():
            raise GivenUp


def _release(error: Exception) -> None:
    """Release what a failed start of vLLM leaves behind: threads of its sockets, and cycles that hold files open."""
    import zmq

    for frame, _ in traceback.walk_tb(error.__traceback__):
        for value in list(frame.f_locals.values()):
            if isinstance(value, zmq.Context):
                value.destroy(linger=0)
    traceback.clear_frames(error.__traceback__)


def _nothing() -> None:
    """What is left to shut down."""


async def shut_down(llm: Any) -> None:
    """End the process of an AsyncLLM and wait until it is gone.

    A process without workers of its own is killed: what it would tidy up first, for seconds, is memory that goes with
    it. One that has workers ends them, and then itself.
    """
    manager = llm.engine_core.resources.engine_manager
    alone = llm.vllm_config.parallel_config.world_size == 1
    stopping = asyncio.ensure_future(asyncio.to_thread(llm.shutdown, STOP_SECONDS))
    while not stopping.done():
        await asyncio.wait([stopping], timeout=POLL_SECONDS)
        if alone and manager.manager_stopped.is_set():  # before that, vLLM would log the end as a failure
            for process in manager.processes:
                process.kill()
    await stopping
    for process in manager.processes:
        if process.exitcode == LOST:
            process.close()
    # `AsyncLLM.__del__` calls it again, and may do so when Python has already taken vLLM's modules apart.
    llm.shutdown = _nothing
    llm.engine_core.resources.ctx.destroy(linger=0)  # vLLM leaves its sockets' threads behind
