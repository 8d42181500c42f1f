"""Rollouts that are given up or fail halfway leave nothing behind."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from catalog.bundle.bundle import Bundle
from catalog.data.changes import Upsert
from server.core.settings import Settings
from server.engine.protocol import RankableBundle
from server.serving.manager import DeploymentManager
from tests.support.small_shop import RecordingEngine, ShopBundle, publish_names
from tests.support.waiting import PATIENCE_SECONDS, until

OLD, NEW, THIRD = "2025-11-20-a", "2025-11-21-a", "2025-11-22-a"


class SlowEngine(RecordingEngine):
    """Waits where its version is in `slow`, with its start or its reload; remembers what it was told."""

    def __init__(self, version: str, slow: set[str]) -> None:
        super().__init__()
        self.version = version
        self.slow = slow
        self.waits = False
        self.stopped = False
        self.told: list[str] = []

    async def start(self) -> None:
        if self.version in self.slow:
            await self._wait()
        await super().start()

    async def reload(self, bundle: RankableBundle) -> None:
        self.told.append("reload")
        if cast(ShopBundle, bundle).version in self.slow:
            await self._wait()
        await super().reload(bundle)

    async def retire(self, index_id: int) -> None:
        await asyncio.sleep(0.01)
        self.told.append(f"retire {index_id}")
        await super().retire(index_id)

    async def stop(self) -> None:
        self.stopped = True
        await super().stop()

    async def _wait(self) -> None:
        self.waits = True
        await asyncio.Event().wait()


@pytest.fixture
def slow() -> set[str]:
    return set()


@pytest.fixture
def engines() -> list[SlowEngine]:
    return []


@pytest.fixture
def make(tmp_path: Path, engines: list[SlowEngine], slow: set[str]) -> Callable[[str], DeploymentManager]:
    publish_names(tmp_path, OLD, NEW, THIRD)

    def make_engine(bundle: Bundle, _: object) -> SlowEngine:
        engines.append(SlowEngine(bundle.version, slow))
        return engines[-1]

    def make(rollout: str) -> DeploymentManager:
        settings = Settings(bundles=tmp_path, answer_timeout_seconds=5, rollout=rollout)
        return DeploymentManager(settings, lambda _, version: cast(Bundle, ShopBundle(version)), make_engine)

    return make


async def given_up(change: asyncio.Task[object], deployments: DeploymentManager) -> None:
    """Stop the server while a change is under way."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        await deployments.stop()
        with pytest.raises(asyncio.CancelledError):
            await change


async def test_a_shutdown_stops_the_engine_of_an_activation_under_way(
    make: Callable[[str], DeploymentManager], engines: list[SlowEngine], slow: set[str]
) -> None:
    deployments = make("surge")
    await deployments.start()
    slow.add(NEW)
    activating = asyncio.create_task(deployments.activate(NEW))
    await until(lambda: engines[-1].waits)
    await given_up(cast("asyncio.Task[object]", activating), deployments)
    assert [(engine.version, engine.stopped) for engine in engines] == [(OLD, True), (NEW, True)]


async def test_a_shutdown_stops_every_engine_of_a_split_that_is_half_loaded(
    make: Callable[[str], DeploymentManager], engines: list[SlowEngine], slow: set[str]
) -> None:
    deployments = make("surge")
    await deployments.start()
    slow.add(THIRD)
    sharing = asyncio.create_task(deployments.share({OLD: 1, NEW: 1, THIRD: 1}))
    await until(lambda: engines[-1].waits)
    assert [engine.version for engine in engines] == [OLD, NEW, THIRD]
    await given_up(cast("asyncio.Task[object]", sharing), deployments)
    assert all(engine.stopped for engine in engines)


async def test_an_engine_whose_reload_is_given_up_does_not_answer(
    make: Callable[[str], DeploymentManager], engines: list[SlowEngine], slow: set[str]
) -> None:
    """Nobody knows what it holds."""
    deployments = make("recreate")
    await deployments.start()
    slow.add(NEW)
    activating = asyncio.create_task(deployments.activate(NEW))
    await until(lambda: engines[-1].waits)
    await given_up(cast("asyncio.Task[object]", activating), deployments)
    assert engines[0].stopped


async def test_what_the_former_catalog_has_yet_to_retire_stays_out_of_the_next_ones_way(
    make: Callable[[str], DeploymentManager], engines: list[SlowEngine]
) -> None:
    """Both number their indexes from one on."""
    deployments = make("recreate")
    await deployments.start()
    async with deployments.router.use() as deployment:
        with deployment.catalog.use():  # its index is retired when nobody uses it any more
            await deployments.router.change(lambda _: [Upsert({"item_id": "new", "title": "new"})], 1, nothing)
            activating = asyncio.create_task(deployments.activate(NEW))
            await until(lambda: not deployments.router._open.is_set())  # the activation waits for this query
    await activating
    await asyncio.sleep(0.05)
    assert engines[0].told == ["reload", "retire 0"], "once, by the catalog that has come"
    await deployments.stop()


async def nothing(_: object) -> None:
    pass


async def test_a_catalog_that_cannot_be_loaded_leaves_no_engine_running(
    make: Callable[[str], DeploymentManager], engines: list[SlowEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def load(_: object) -> None:
        raise MemoryError

    deployments = make("surge")
    await deployments.start()
    monkeypatch.setattr("server.retrieval.live_catalog.LiveCatalog.load", load)
    with pytest.raises(MemoryError):
        await deployments.activate(NEW)
    assert [engine.stopped for engine in engines] == [False, True]
    monkeypatch.undo()
    await deployments.stop()
