"""The command with a tiny model, a real vLLM engine and both peers."""

import json
import subprocess
import sys

import pytest

from tests.support.paths import ROOT

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.large]

COMMAND = (
    "-m loadtest.engine --beam 4,8 --prompt 40 --concurrency 1,2 --items 500 --layers 1 --hidden 128 --repeats 2"
    " --budget-seconds 200 --threads 1 --peers vllm,transformers --json"
)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    path = tmp_path_factory.mktemp("engine") / "engine.json"
    done = subprocess.run(
        [sys.executable, *COMMAND.split(), str(path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert "ours is faster" in done.stdout
    return json.loads(path.read_text())


@pytest.mark.timeout(400)
def test_every_cell_of_every_engine_was_measured(report):
    cells = {(row["engine"], row["beam"], row["concurrency"], row["mode"]) for row in report["rows"]}
    caching = {
        (engine, beam, n, mode)
        for engine in ("ours", "vllm")
        for beam in (4, 8)
        for n in (1, 2)
        for mode in ("fresh", "cached")
    }
    assert cells == caching | {("transformers", beam, n, "fresh") for beam in (4, 8) for n in (1, 2)}
    for row in report["rows"]:
        assert 1 <= row["samples"] <= 3
        assert row["prompt"] == 40
        assert 0 < row["p50_ms"] <= row["p99_ms"]
        assert row["requests_per_s"] > 0


def test_peers_are_compared_in_every_cell(report):
    keys = {"4@1", "4@2", "8@1", "8@2"}
    assert set(report["speedup"]) == {"vllm", "transformers"}
    assert set(report["speedup_cached"]) == {"vllm"}
    for table in (*report["speedup"].values(), *report["speedup_cached"].values()):
        assert set(table) == keys
        assert min(table.values()) > 0
    assert set(report["throughput_gain"]) == {"4", "8"}


def test_answers_are_items_and_those_of_the_reference(report):
    assert report["invalid"] == 0
    assert report["duplicates"] == 0
    assert report["agreement"]["prompts"] == 20
    assert report["agreement"]["overlap_at_k"] > 0.8
    assert report["peer_invalid_share"]["transformers"] == 0
    assert 0 < report["peer_invalid_share"]["vllm"] <= 1
    assert report["machine"]["threads"] == 1
