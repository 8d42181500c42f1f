"""The suite against a server on a real socket: a true one passes, and a wrong one is caught."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadtest.load import __main__ as load
from server.storage.managed_redis import managed_redis
from tests.loadtest.load.faulty_shop import FaultyShop, faulty_shop


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyShop]:
    """On a Redis of its own, which no other test's edits are in."""
    with (
        managed_redis(tmp_path_factory.mktemp("redis")) as url,
        faulty_shop(tmp_path_factory.mktemp("shop"), url) as running,
    ):
        yield running


def run(shop: FaultyShop, out: Path, requests: int = 150) -> tuple[int, dict]:
    """As long as it takes to ask enough, on a quiet machine two seconds for the default."""
    options = ["--profile", "smoke", "--url", shop.url, "--items", str(shop.items), "--out", str(out)]
    options += ["--pid", str(os.getpid()), "--seconds", "60", "--requests", str(requests)]
    status = load.main(options)
    return status, json.loads((out / "report.json").read_text())


def test_a_true_server_passes_and_is_reported(shop: FaultyShop, tmp_path: Path):
    status, report = run(shop, tmp_path)
    assert status == 0, (report["reasons"], report["faults"][:5], report["errors"][:1])
    assert report["counters"] == {"agree": True, "mismatches": []}
    rows = {row["endpoint"]: row for row in report["endpoints"]}
    assert {"GET /search", "POST /events", "POST /batch", "PUT /items/{item_id}", "GET /items", "GET /suggest"} <= set(
        rows
    )
    assert rows["all"]["requests"] == report["requests"] == sum(report["verdicts"].values())
    assert {"server", "locust"} <= set(report["memory"])
    html = (tmp_path / "report.html").read_text()
    assert "passed" in html
    assert html.count("<svg") == 4


@pytest.mark.parametrize(
    ("fault", "requests", "rules"),
    [
        pytest.param("repeats", 150, {"distinct"}, marks=pytest.mark.slow),
        # few of the 150 come while an item is gone
        pytest.param("ignores filters", 600, {"filter", "gone item"}, marks=pytest.mark.slow),
        pytest.param("leaks", 150, {"strange history"}, marks=pytest.mark.slow),
        pytest.param("counts wrongly", 300, {"facets", "private query"}, marks=pytest.mark.slow),
        pytest.param("loses events", 150, {"lost event"}, marks=pytest.mark.slow),
    ],
)
def test_a_wrong_server_is_caught(shop: FaultyShop, tmp_path: Path, fault: str, requests: int, rules: set[str]):
    with shop.with_fault(fault):
        status, report = run(shop, tmp_path, requests)
    assert status == load.FAILED
    assert rules <= set(report["rules"])
    assert report["verdicts"]["wrong"] > 0
    assert not report["errors"]


def test_a_server_that_is_away_is_not_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    options = ["--profile", "smoke", "--url", "http://127.0.0.1:9", "--items", "none", "--out", str(tmp_path)]
    assert load.main(options) == load.NOT_MEASURED
    assert "loadtest.load:" in capsys.readouterr().err
