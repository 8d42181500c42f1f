"""Two servers with vLLM behind HAProxy: an engine is killed, then a server, and no question is lost."""

import asyncio
import itertools
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.support import world
from tests.support.balanced import ask_through
from tests.support.engine_processes import engines_of
from tests.support.haproxy import SERVED_BY, haproxy
from tests.support.server_process import PATIENT, ServerProcess
from tests.support.trained import Trained
from tests.support.vllm_server import OPTIONS

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.large]  # two engines start


@pytest.fixture(scope="module")
def servers(trained: Trained, redis_server: str) -> Iterator[list[ServerProcess]]:
    redis = f"{redis_server.removesuffix('/0')}/6"  # other tests empty the first
    flags = ("--bundles", trained.folder(world.LEARNING), "--redis", redis, *OPTIONS, *PATIENT)
    fleet = ("--fleet", "shop", "--cursor-secret", "0123456789abcdef")
    started = [ServerProcess(*flags, *fleet) for _ in range(2)]
    yield started
    for process in started:
        process.stop()


def engine_of(server: ServerProcess) -> psutil.Process:
    [engine] = engines_of(server.pid)
    return engine


async def test_a_killed_engine_and_then_a_killed_server_lose_no_question(
    servers: list[ServerProcess], tmp_path: Path
) -> None:
    stays, victim = servers
    with haproxy(tmp_path, [process.url for process in servers]) as url:
        for kill in (engine_of(victim).kill, lambda: os.kill(victim.pid, signal.SIGKILL)):
            await both_answer(url)
            engine = engine_of(victim)
            before, after = await ask_through(url, {}, 4_200, kill, kill_after=1_000)
            print(f"before {dict(before.by)}, after {dict(after.by)}, failed {before.failed + after.failed}")
            assert before.failed == after.failed == []
            assert before.by["s1"] > 0
            assert after.by["s0"] > 0
            assert after.by.total() >= 3_000
    psutil.wait_procs([engine], 30)
    assert not engine.is_running()  # the engine of a killed server, itself one that was started again, ends with it
    assert stays.stop() == 0


async def both_answer(url: str) -> None:
    """Waits until each server has answered somebody."""
    async with httpx.AsyncClient(base_url=url, timeout=60) as client, asyncio.timeout(300):
        by: set[str] = set()
        for number in itertools.count():
            answer = await client.get("/recommend", params={"user": f"user-{number}", "k": 1})
            by.add(answer.headers[SERVED_BY])
            if by == {"s0", "s1"}:
                return
            await asyncio.sleep(0.1)
