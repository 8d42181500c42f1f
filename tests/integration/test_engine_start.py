"""vLLM's process is forked; starts that are given up or fail leave nothing behind, and neither does a killed server."""

import asyncio
import gc
import multiprocessing
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from server.core.settings import EngineSettings
from server.engine.errors import EngineUnavailable
from server.engine.protocol import RankRequest
from server.engine.vllm.frontend.client import VllmEngine
from server.engine.vllm.frontend.environment import engine_environment, prepare_openmp
from server.engine.vllm.frontend.fork_server import FORK_SERVER
from tests.integration.conftest import SmallBundle
from tests.support import world
from tests.support.engine_processes import engines_of
from tests.support.trained import Trained
from tests.support.vllm_server import OPTIONS

pytestmark = [pytest.mark.integration, pytest.mark.slow]
SETTINGS = EngineSettings(max_width=200, max_prompt_tokens=600, max_batch_tokens=256, kv_cache_bytes=1 << 27)


others: set[int] = set()
"""The engine that other files share, where it runs."""


@pytest.fixture(autouse=True)
def others_are_known() -> None:
    others.clear()
    others.update(engines())


def engines() -> list[int]:
    pids = [child.pid for child in multiprocessing.active_children() if "EngineCore" in child.name and child.pid]
    return [pid for pid in pids if pid not in others]


def held() -> tuple[int, int]:
    """Threads and open files of this process."""
    return threading.active_count(), psutil.Process().num_fds()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(120):
        while not condition():
            await asyncio.sleep(0.02)


async def give_up(bundle: SmallBundle, seconds: float) -> None:
    """Start an engine, and cancel that so long after its process has begun."""
    engine = VllmEngine(bundle, SETTINGS)
    starting = asyncio.create_task(engine.start())
    await until(engines)
    await asyncio.sleep(seconds)
    (process,) = engines()
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert not engine.alive
    assert engines() == []
    assert not psutil.pid_exists(process)


async def test_a_start_that_is_given_up_leaves_nothing(small_bundle: SmallBundle) -> None:
    await give_up(small_bundle, 0.0)
    before = held()
    for seconds in (0.0, 2.0):
        await give_up(small_bundle, seconds)
    threads, files = held()
    assert threads <= before[0] + 2, "pools of threads fill up"
    assert files <= before[1] + 2
    engine = VllmEngine(small_bundle, SETTINGS)
    await engine.start()
    assert len((await engine.rank(RankRequest([1], 5, 5, "after"))).leaves) == 5
    gone = [weakref.ref(engine), weakref.ref(engine._llm)]
    gc.disable()  # a server's process does not look through what was loaded
    try:
        await engine.stop()
        del engine
        await until(lambda: all(ref() is None for ref in gone))
    finally:
        gc.enable()
    assert engines() == []


async def test_a_start_that_is_given_up_before_its_process_begins(small_bundle: SmallBundle) -> None:
    engine = VllmEngine(small_bundle, SETTINGS)
    starting = asyncio.create_task(engine.start())
    await asyncio.sleep(0)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    await asyncio.sleep(1)
    assert engines() == []


@asynccontextmanager
async def running(bundle: SmallBundle) -> AsyncIterator[tuple[VllmEngine, psutil.Process, psutil.Process]]:
    """A started engine, its process and the one which that was started by."""
    engine = VllmEngine(bundle, SETTINGS)
    await engine.start()
    try:
        (process,) = map(psutil.Process, engines())
        parent = process.parent()
        assert parent is not None
        yield engine, process, parent
    finally:
        await engine.stop()
    assert engines() == []


async def answers(engine: VllmEngine) -> bool:
    return len((await engine.rank(RankRequest([1], 5, 5, "any"))).leaves) == 5


async def test_an_engine_is_forked_from_a_process_that_does_nothing_else(small_bundle: SmallBundle) -> None:
    async with running(small_bundle) as (_, process, fork_server):
        assert fork_server.name().startswith("gemserve")
        assert fork_server.num_threads() == 1
        assert fork_server.parent() == psutil.Process()
        if libraries := prepared().get("LD_PRELOAD"):
            assert libraries in {mapped.path for mapped in process.memory_maps()}


def prepared() -> dict[str, str]:
    with engine_environment():
        prepare_openmp(1)
        return dict(os.environ)


async def test_an_engine_whose_fork_server_is_killed_is_given_up_and_the_next_one_starts(
    small_bundle: SmallBundle,
) -> None:
    async with running(small_bundle) as (engine, process, fork_server):
        fork_server.kill()
        await until(lambda: not engine.alive)
        with pytest.raises(EngineUnavailable):
            await answers(engine)
    await until(lambda: not process.is_running())
    async with running(small_bundle) as (after, _, _):
        assert await answers(after)


async def test_where_other_libraries_are_asked_for_an_engine_is_spawned(
    small_bundle: SmallBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of the fork server are loaded: it cannot have others."""
    with engine_environment():
        prepare_openmp(1)
        FORK_SERVER.begin()
    monkeypatch.setenv("KMP_BLOCKTIME", "2")
    async with running(small_bundle) as (spawned, _, parent):
        assert await answers(spawned)
        assert parent == psutil.Process()


async def test_an_engine_ends_with_a_server_that_is_killed(trained: Trained, tmp_path: Path) -> None:
    """Which cannot end it: the engine would hold its memory for ever, and the next server would have none."""
    bundles = trained.folder(world.LEARNING)
    command = [sys.executable, "-m", "server", "--bundles", bundles, "--managed-redis", tmp_path / "redis", *OPTIONS]
    with (tmp_path / "log").open("w") as log:
        server = psutil.Popen([str(word) for word in command], stdout=log, stderr=subprocess.STDOUT)

        def started() -> list[psutil.Process]:
            assert server.poll() is None, (tmp_path / "log").read_text()
            return engines_of(server.pid)

        await until(started)
        (engine,) = started()
        server.kill()
        server.wait()
        await until(lambda: not engine.is_running())
