"""The environment in which vLLM's engine process starts.

A process takes its OpenMP library and thread count from the environment it is started with, and vLLM starts it with
this process's own. So that one is changed while an engine starts: variable by variable, so that other threads find
every one that they need at any moment. A lock keeps two starts apart. Processes of other kinds are started with an
environment that was copied before (`server/storage/managed_redis.py`).
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from server.engine.errors import EngineError

__all__ = ["engine_environment", "prepare_openmp"]

ALWAYS = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_USE_V2_MODEL_RUNNER": "0",  # it takes built-in pooling tasks only
}
LOCK = threading.Lock()


@contextmanager
def engine_environment() -> Iterator[None]:
    """Import vLLM and start its process inside this. Every variable that is changed inside is put back.

    One thread at a time is inside; others wait.
    """
    with LOCK:
        before = dict(os.environ)
        os.environ.update(ALWAYS)
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
        # Of the tracker that starts with the process: it cleans up after one that was killed, and need not tell.
        os.environ.setdefault("PYTHONWARNINGS", "ignore:resource_tracker:UserWarning")
        try:
            yield
        finally:
            for name in os.environ.keys() - before.keys():
                os.environ.pop(name, None)
            for name, value in before.items():
                if os.environ.get(name) != value:
                    os.environ[name] = value


def prepare_openmp(workers: int) -> None:
    """Give an engine on CPU every core, shared out among its workers, and Intel's library if it is installed.

    What the operator has set stays. Without Intel's library, or with threads that spin longer, an engine whose cores
    are shared with the HTTP server can take many times as long.

    Raises EngineError where there are more workers than cores.
    """
    cores = sorted(os.sched_getaffinity(0))
    if workers > 1:
        if workers > len(cores):
            raise EngineError(f"tensor_parallel is {workers} and there are {len(cores)} cores: lower it")
        shares = (cores[i * len(cores) // workers : (i + 1) * len(cores) // workers] for i in range(workers))
        os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "|".join(",".join(map(str, share)) for share in shares))
    os.environ.setdefault("OMP_NUM_THREADS", str(len(cores) // workers))
    os.environ.setdefault("KMP_BLOCKTIME", "1")  # milliseconds
    library = _intel_openmp()
    if library is not None:
        os.environ.setdefault("LD_PRELOAD", str(library))


def _intel_openmp() -> Path | None:
    try:
        installed = files("intel-openmp") or []
    except PackageNotFoundError:
        return None
    found = (Path(str(file.locate())).resolve() for file in installed if file.name == "libiomp5.so")
    return next((library for library in found if library.exists()), None)
