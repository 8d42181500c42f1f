"""The environment of the engine's process."""

import os

import pytest

from server.engine.errors import EngineError
from server.engine.vllm.frontend.environment import engine_environment, prepare_openmp


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
