"""The environment in which vLLM's engine process starts.

A process takes its OpenMP library and thread count from the environment it is started with, so these are set while
the engine starts and put back afterwards.
"""

import os
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


@contextmanager
def engine_environment() -> Iterator[None]:
    """Import vLLM and start its process inside this. Whatever is changed inside is put back."""
    before = dict(os.environ)
    os.environ |= ALWAYS
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
    try:
        yield
    finally:
        os.environ.clear()
        os.environ |= before


def prepare_openmp(workers: int) -> None:
    """For an engine on CPU: every core, shared out among the workers, and Intel's library if it is installed. What the
    operator has set stays.

    Without Intel's, or with threads that spin longer, an engine whose cores are shared with the HTTP server can take
    many times as long.
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
