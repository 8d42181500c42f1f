"""The benchmark of a GPU as a command: its processes, and the packages that it does without."""

import json
import os
import subprocess
import sys

import pytest

from loadtest.gpu.__main__ import main
from loadtest.gpu.parts import MINUTES
from tests.support.paths import ROOT

MISSING = (
    *("vllm", "numba", "peft", "sklearn", "scipy", "orjson", "rapidfuzz", "bm25s", "structlog", "redis", "fastapi"),
    *("tantivy", "matplotlib", "threadpoolctl", "prometheus_client", "uvicorn", "backports"),
)
"""What a bare machine with torch, transformers, numpy, pyarrow and pydantic lacks."""

HIDE = f"""
import importlib.abc, importlib.machinery, sys


class Hidden(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in {MISSING!r} else super().find_spec(name, path, target)


sys.meta_path = [Hidden if finder is importlib.machinery.PathFinder else finder for finder in sys.meta_path]
"""


@pytest.mark.slow
@pytest.mark.large
def test_a_part_that_takes_too_long_is_ended_and_says_so(tmp_path, capsys):
    assert main(["--out", str(tmp_path), "--small", "--parts", "exactness", "--minutes", "exactness=0.0001"]) == 1
    assert "its time was over" in json.loads((tmp_path / "exactness.json").read_text())["state"]
    assert "its time was over" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.large
def test_it_runs_with_torch_and_transformers_alone(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(HIDE)
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    out = tmp_path / "out"
    command = [sys.executable, "-m", "loadtest.gpu", "--out", str(out), "--small", "--device", "cpu"]
    command += ["--minutes", *(f"{part}=10" for part in MINUTES)]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    reports = {part: json.loads((out / f"{part}.json").read_text()) for part in MINUTES}
    assert {report["state"] for report in reports.values()} == {"done"}
    assert not any("compiled" in row["model"] for row in reports["exactness"]["rows"]), "numba was hidden"
    failed = {row["method"]: row["error"] for row in reports["training"]["rows"] if "error" in row}
    assert failed == {"lora": "ModuleNotFoundError: No module named 'peft'"}
    assert all(name in ended.stdout for name in ("Searches:", "Steps of training", "exact", "released"))
