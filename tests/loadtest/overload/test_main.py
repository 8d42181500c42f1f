"""What is measured of a server that is asked for too much, and when it fails."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from loadtest.overload import __main__ as overload
from loadtest.overload.__main__ import Stage, faults
from loadtest.overload.load_generator import Reply, calls, closed_loop, open_loop
from server.storage.managed_redis import managed_redis
from tests.loadtest.load.faulty_shop import FaultyShop, faulty_shop

STAGE = Stage(
    load=1.0, asked=100, goodput=98, refused=2, late=0, failed=0, p50_ms=200, p99_ms=800, refused_p99_ms=5,
    waited_ms=10, cores={},
)  # fmt: skip


def test_a_server_that_does_what_it_can_passes():
    assert faults([STAGE, replace(STAGE, load=2.0, asked=200, goodput=84, refused=116)], 1_000) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"goodput": 83}, "came in time"),
        ({"p99_ms": 1_001}, "p99 of the accepted"),
        ({"failed": 0.1}, "failed"),
    ],
)
def test_one_that_does_not_fails(change: dict[str, float], words: str):
    (fault,) = faults([STAGE, replace(STAGE, load=2.0, **change)], 1_000)
    assert "at 2 times the capacity" in fault
    assert words in fault


def test_replies_are_told_apart():
    answered, late = Reply(0.0, 0.5, 200), Reply(0.1, 1.2, 200)
    replies = [answered] * 10 + [late, Reply(0.2, 1.0, 504), Reply(0.3, 0.001, 503), Reply(0.4, 6.0, 0)]
    stage = Stage.of(2.0, replies, 2.0, 1.0, 3.0, {"client": 0.1})
    assert (stage.asked, stage.goodput, stage.refused, stage.late, stage.failed) == (7.0, 5.0, 0.5, 1.0, 0.5)
    assert stage.p50_ms == 500
    assert stage.p99_ms > 1_000
    assert stage.refused_p99_ms == 1


def test_visitors_of_an_open_loop_wait_for_nobody():
    under_way = most = 0

    async def send() -> int:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        while most < 20:
            await asyncio.sleep(0)
        under_way -= 1
        return 200

    replies = asyncio.run(open_loop(send, 1_000, 0.1, seed=0))
    assert len(replies) > 50
    assert {reply.status for reply in replies} == {200}
    assert [reply.at for reply in replies] == sorted(reply.at for reply in replies)


def test_visitors_of_a_closed_loop_wait_for_each_other():
    under_way = most = 0

    async def send() -> int:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1
        return 200

    assert len(asyncio.run(closed_loop(send, 3, 0.05))) >= 3
    assert most == 3


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyShop]:
    with (
        managed_redis(tmp_path_factory.mktemp("redis")) as url,
        faulty_shop(tmp_path_factory.mktemp("shop"), url) as running,
    ):
        yield running


def test_half_of_the_calls_are_searches(shop: FaultyShop):
    made = list(islice(calls(shop.items, 500, seed=1), 200))
    searches = [call for call in made if call.path == "/search"]
    assert 70 < len(searches) < 130
    assert all(call.arguments["params"]["timeout_ms"] == 500 for call in searches)
    assert made[:5] == list(islice(calls(shop.items, 500, seed=1), 5))


@pytest.mark.integration
def test_a_server_is_measured_on_a_real_socket(shop: FaultyShop, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """The fake engine answers at once, so at five times this "capacity" nothing is refused."""
    options = ["--url", shop.url, "--items", str(shop.items), "--json", str(tmp_path / "figures.json")]
    options += ["--capacity", "20", "--loads", "1", "5", "--seconds", "1", "--deadline-ms", "30000"]
    assert overload.main(options) == 0
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert [stage["load"] for stage in figures["stages"]] == [1, 5]
    for stage in figures["stages"]:
        assert stage["goodput"] == stage["asked"] > 0
        assert "client" in stage["cores"]
    assert "passed" in capsys.readouterr().out


@pytest.mark.integration
def test_the_capacity_is_found_in_a_closed_loop(shop: FaultyShop, tmp_path: Path):
    options = ["--url", shop.url, "--items", str(shop.items), "--loads", "0.05", "--seconds", "1"]
    options += ["--json", str(tmp_path / "figures.json"), "--deadline-ms", "30000"]
    assert overload.main(options) == 0
    assert json.loads((tmp_path / "figures.json").read_text())["capacity"] > 0


def test_without_a_bundle_nothing_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert overload.main(["--bundles", str(tmp_path)]) == overload.NOT_MEASURED
    assert "has no current bundle" in capsys.readouterr().err
