"""The traffic split of several servers on one store, which is in memory here."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest
import structlog

from catalog.bundle.bundle import Bundle
from catalog.bundle.folder import activate
from catalog.errors import BundleError
from server.core.errors import HistoryUnavailable, RolloutFailed, RolloutInProgress
from server.core.settings import Settings
from server.serving.manager import DeploymentManager
from server.serving.router import TrafficSplit
from server.serving.sync.traffic_sync import TrafficSync
from server.storage.protocol import StoredSplit
from tests.support.memory_split import MemorySplit
from tests.support.small_shop import RecordingEngine, ShopBundle, publish_names
from tests.support.waiting import until

OLD, NEW, THIRD = "2025-11-20-a", "2025-11-21-a", "2025-11-22-a"
HALF = {OLD: 50, NEW: 50}
SOON = 0.005


@dataclass
class Server:
    manager: DeploymentManager
    sync: TrafficSync
    engines: list[RecordingEngine] = field(default_factory=list)

    @property
    def weights(self) -> dict[str, int]:
        return self.manager.router.table.weights

    @property
    def running(self) -> int:
        return sum(engine.alive for engine in self.engines)


Run = Callable[..., AbstractAsyncContextManager[Server]]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("MIN", 0.002), ("MAX", 0.02)):
        monkeypatch.setattr(f"server.serving.supervisor.{name}_PAUSE_SECONDS", seconds)


@pytest.fixture
def bundles(tmp_path: Path) -> Path:
    publish_names(tmp_path, OLD, NEW, THIRD)
    return tmp_path


@pytest.fixture
def store() -> MemorySplit:
    return MemorySplit()


@pytest.fixture
def unreadable() -> set[str]:
    """Versions whose bundles cannot be opened, by servers that are made so."""
    return set()


@pytest.fixture
def server(bundles: Path, store: MemorySplit, unreadable: set[str]) -> Run:
    @asynccontextmanager
    async def run(*, rollout: str = "surge", picky: bool = False) -> AsyncIterator[Server]:
        def open_bundle(_: Settings, version: str) -> Bundle:
            if picky and version in unreadable:
                raise BundleError(f"model.safetensors of {version} is missing")
            return cast(Bundle, ShopBundle(version))

        def make_engine(*_: object) -> RecordingEngine:
            engines.append(RecordingEngine())
            return engines[-1]

        engines: list[RecordingEngine] = []
        settings = Settings(bundles=bundles, answer_timeout_seconds=5, rollout=rollout)
        manager = DeploymentManager(settings, open_bundle, make_engine)
        await manager.start()
        sync = TrafficSync(manager, store, poll_seconds=SOON)
        await sync.start()
        yield Server(manager, sync, engines)
        await sync.stop()
        await manager.stop()

    return run


async def test_a_split_holds_in_every_server_and_ends_in_every_one(server: Run, store: MemorySplit) -> None:
    async with server() as one, server() as other:
        await one.sync.share(HALF)
        assert one.weights == HALF
        await until(lambda: other.weights == HALF)
        await other.sync.share({OLD: 90, NEW: 10})
        await until(lambda: one.weights == {OLD: 90, NEW: 10})
        await one.sync.end()
        assert one.weights == {OLD: 100}
        await until(lambda: other.weights == {OLD: 100})
        await until(lambda: (one.running, other.running) == (1, 1))
    assert store.stored == StoredSplit(3, None)


async def test_a_restart_takes_the_split_up_before_it_is_ready(server: Run) -> None:
    async with server() as before:
        await before.sync.share(HALF)
    async with server() as after:
        assert after.weights == HALF
        split = TrafficSplit(HALF)
        for user in ("ada", "bob", "eve", "joe"):
            assert after.manager.router.table.pick(user).value.version == split.version_of(user)


async def test_a_server_that_cannot_load_a_version_says_so_and_tries_again(server: Run, unreadable: set[str]) -> None:
    unreadable.add(NEW)
    with structlog.testing.capture_logs() as logs:
        async with server() as good, server(picky=True) as poor:
            await good.sync.share(HALF)
            await until(lambda: poor.sync.problem)
            assert poor.sync.problem is not None
            assert "model.safetensors of 2025-11-21-a is missing" in poor.sync.problem
            assert poor.weights == {OLD: 100}
            assert good.weights == HALF
            await asyncio.sleep(20 * SOON)
            unreadable.clear()
            await until(lambda: poor.weights == HALF and poor.sync.problem is None)  # told once all is done
    assert [entry["event"] for entry in logs].count("traffic_split_not_applied") == 1, "once for one reason"


async def test_a_server_with_another_current_version_says_so(server: Run, bundles: Path) -> None:
    async with server() as one:
        await one.sync.share(HALF)
        activate(bundles, THIRD)
        async with server() as other:
            assert other.weights == {THIRD: 100}
            assert f"{THIRD} is current and must have a weight" in str(other.sync.problem)
        activate(bundles, OLD)


async def test_a_server_of_one_engine_says_so(server: Run) -> None:
    async with server() as one, server(rollout="recreate") as small:
        await one.sync.share(HALF)
        await until(lambda: "has one engine" in str(small.sync.problem))
        assert small.weights == {OLD: 100}


async def test_an_activation_ends_the_split_everywhere(server: Run, store: MemorySplit) -> None:
    async with server() as one, server() as other:
        await one.sync.share(HALF)
        await until(lambda: other.weights == HALF)
        await one.manager.activate(NEW)
        assert one.weights == {NEW: 100}
        await until(lambda: other.weights == {OLD: 100})
        assert store.stored.weights is None
    async with server() as after:
        assert after.weights == {NEW: 100}


async def test_while_the_store_is_away_the_split_holds(server: Run, store: MemorySplit) -> None:
    async with server() as one, server() as other:
        await one.sync.share(HALF)
        await until(lambda: other.weights == HALF)
        store.away = True
        with structlog.testing.capture_logs() as logs:
            for change in (one.sync.end(), one.sync.share({OLD: 1, THIRD: 1})):
                with pytest.raises(HistoryUnavailable):
                    await change
            await asyncio.sleep(10 * SOON)
        assert one.weights == other.weights == HALF
        assert [entry["event"] for entry in logs].count("traffic_split_unavailable") == 2, "once a server"
        await one.manager.activate(NEW)
        store.away = False
        await until(lambda: other.weights == {OLD: 100})
        assert store.stored.weights is None


async def test_a_store_that_goes_away_while_models_are_loaded_changes_nothing(server: Run, store: MemorySplit) -> None:
    async with server() as one:
        store.write = refused  # type: ignore[method-assign]
        with pytest.raises(HistoryUnavailable):
            await one.sync.share(HALF)
        assert one.weights == {OLD: 100}
        assert one.running == 1


async def refused(*_: object, **__: object) -> bool:
    raise HistoryUnavailable("Redis failed: the test took it away")


async def test_the_slower_of_two_changes_is_refused(server: Run, store: MemorySplit) -> None:
    async with server() as one, server() as other:
        made = await asyncio.gather(one.sync.share(HALF), other.sync.share({OLD: 1, THIRD: 1}), return_exceptions=True)
        assert sum(isinstance(end, RolloutFailed) for end in made) == 1
        assert store.stored.number == 1
        await until(lambda: one.weights == other.weights == store.stored.weights)


async def test_a_store_that_came_back_empty_is_told(server: Run, store: MemorySplit) -> None:
    async with server() as one, server() as other:
        await one.sync.share(HALF)
        await until(lambda: other.weights == HALF)
        store.stored = StoredSplit(0, None)
        await until(lambda: store.stored.weights == HALF)
        await asyncio.sleep(5 * SOON)
        assert one.weights == other.weights == HALF


async def test_a_change_during_another_one_is_refused(server: Run) -> None:
    async with server() as one:
        first = asyncio.create_task(one.sync.share(HALF))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        with pytest.raises(RolloutInProgress):
            await one.sync.share({OLD: 1, THIRD: 1})
        await first
        assert one.weights == HALF
