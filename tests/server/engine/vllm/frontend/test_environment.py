"""The environment of the engine's process."""

import os
import subprocess
import sys
import threading

import pytest

from server.engine.errors import EngineError
from server.engine.vllm.frontend.environment import engine_environment, prepare_openmp
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
