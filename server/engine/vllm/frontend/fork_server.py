"""The process from which vLLM's is forked on CPUs: what that needs is imported beside this process's own imports.

There vLLM starts its process by `spawn`, which imports vLLM for a second time after this process has: a quarter of a
minute of every start, rollout and recovery. Python's fork server imports it meanwhile, once. It has no other thread and
computes nothing, so what is forked from it is as good as new, and it ends with this process.

Some variables count when a program or a library is loaded (`FIXED`). Where vLLM has set others of them than the fork
server was started with, its process is spawned as usual, and so it is where the fork server cannot be had: its socket
is a file in the temporary folder, which somebody may clear.
"""

import multiprocessing.forkserver
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.context import ForkServerContext, ForkServerProcess, SpawnProcess
from multiprocessing.process import BaseProcess
from typing import Any

import structlog

from server.core.process import module_paths
from server.engine.vllm.frontend.environment import changes_put_back

__all__ = ["FORK_SERVER", "LOST"]

log = structlog.get_logger(__name__)

IMPORTED = ("server.engine.vllm.frontend.fork_server_interrupts", "server.engine.vllm.frontend.fork_server_imports")
SET_BY_VLLM = {"TORCHINDUCTOR_COMPILE_THREADS": "1", "TORCHINDUCTOR_CPP_DYNAMIC_THREADS": "1"}
"""Of the fixed variables, what vLLM always sets on a CPU before it starts its process."""

FIXED = ("LD_PRELOAD", "LD_LIBRARY_PATH", "PYTHONPATH", "OMP_NUM_THREADS", "KMP_BLOCKTIME", *SET_BY_VLLM)

LOST = 255
"""The exit status of a process whose fork server was killed. It may run still, and ends when its object is closed."""


class Process(ForkServerProcess):
    """Has the environment of the process that started it, not that of the fork server. Spawned where that is away."""

    _environment: dict[str, str]

    @staticmethod
    def _Popen(process: BaseProcess) -> Any:
        try:
            with modules_found_as_here():  # it may have to be started once more
                return ForkServerProcess._Popen(process)
        except (OSError, EOFError) as error:
            log.warning("engine_spawned", reason=f"the fork server cannot be reached: {error}")
            return SpawnProcess._Popen(process)

    def start(self) -> None:
        self._environment = dict(os.environ)
        super().start()

    def run(self) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for name in os.environ.keys() - self._environment.keys():
            del os.environ[name]
        os.environ.update(self._environment)
        super().run()


class Context(ForkServerContext):
    """`multiprocessing`'s of the fork server, with such processes."""

    Process = Process


class ForkServer:
    """This process's own, of which `multiprocessing` knows one."""

    def __init__(self) -> None:
        self._started_with: dict[str, str] | None = None

    def begin(self) -> None:
        """Start the fork server, which imports by itself; nothing where it runs.

        To be called inside `engine_environment`, after `prepare_openmp`.
        """
        os.environ.update(SET_BY_VLLM)
        if self._started_with is None:
            self._started_with = fixed_variables()
            multiprocessing.forkserver.set_forkserver_preload(list(IMPORTED))
        with modules_found_as_here(), suppress(OSError):  # the process, which wants it again, tells
            multiprocessing.forkserver.ensure_running()

    @contextmanager
    def forks_for_vllm(self) -> Iterator[None]:
        """The process that vLLM starts inside is forked, if the fork server was begun."""
        from vllm.v1.engine import utils

        usual = utils.get_mp_context

        def get_mp_context() -> Any:
            if self._started_with is None:
                return usual()
            if (now := fixed_variables()) != self._started_with:
                differing = {name for name, _ in now.items() ^ self._started_with.items()}
                log.info("engine_spawned", variables=sorted(differing))
                return usual()
            return Context()

        utils.get_mp_context = get_mp_context
        try:
            yield
        finally:
            utils.get_mp_context = usual


@contextmanager
def modules_found_as_here() -> Iterator[None]:
    """What is started inside looks for modules where this process does: Python's fork server would not."""
    with changes_put_back():
        os.environ.update(module_paths())
        yield


def fixed_variables() -> dict[str, str]:
    return {name: os.environ[name] for name in FIXED if name in os.environ}


FORK_SERVER = ForkServer()
