"""Engines die, in the server's own process, and come back."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import cast

import pytest
import structlog
from prometheus_client import REGISTRY

from catalog.bundle.bundle import Bundle
from catalog.data.changes import Delete
from server.core.errors import RolloutFailed
from server.core.settings import Settings
from server.engine.errors import EngineError
from server.serving.loader import warm_up_check
from server.serving.manager import DeploymentManager
from server.serving.supervisor import Backoff
from tests.support.http_shop import Shop
from tests.support.memory_changes import MemoryChanges
from tests.support.problems import assert_problem
from tests.support.small_shop import RecordingEngine, ShopBundle, publish_names
from tests.support.waiting import PATIENCE_SECONDS, until

OLD, NEW = "2025-11-20-a", "2025-11-21-a"


class MortalEngine(RecordingEngine):
    """Dies when told to; `starts` is what its start waits for, `fault` what it raises then."""

    fault: Exception | None = None
    starts = asyncio.Event()
    running = 0
    most_running = 0

    def __init__(self, version: str) -> None:
        super().__init__()
        self.version = version
        self.stops = 0

    async def start(self) -> None:
        MortalEngine.running += 1
        MortalEngine.most_running = max(MortalEngine.most_running, MortalEngine.running)
        await self.starts.wait()
        if self.fault is not None:
            raise self.fault
        await super().start()

    async def stop(self) -> None:
        if self.stops == 0:
            MortalEngine.running -= 1
        self.stops += 1
        await super().stop()

    def die(self) -> None:
        self._running = False


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MortalEngine, "fault", None)
    monkeypatch.setattr(MortalEngine, "starts", asyncio.Event())
    monkeypatch.setattr(MortalEngine, "running", 0)
    monkeypatch.setattr(MortalEngine, "most_running", 0)
    MortalEngine.starts.set()
    for name, seconds in (("POLL", 0.002), ("MIN_PAUSE", 0.002), ("MAX_PAUSE", 0.03)):
        monkeypatch.setattr(f"server.serving.supervisor.{name}_SECONDS", seconds)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    publish_names(tmp_path, OLD, NEW)
    return Settings(bundles=tmp_path, answer_timeout_seconds=5, open_admin=True)


@pytest.fixture
def engines() -> list[MortalEngine]:
    return []


@pytest.fixture
def deployments(settings: Settings, engines: list[MortalEngine]) -> DeploymentManager:
    return make_mortal(settings, engines)


def make_mortal(settings: Settings, engines: list[MortalEngine]) -> DeploymentManager:
    def make(bundle: Bundle, _: object) -> MortalEngine:
        engines.append(MortalEngine(bundle.version))
        return engines[-1]

    return DeploymentManager(settings, lambda _, version: cast(Bundle, ShopBundle(version)), make)


@pytest.fixture(params=["surge", "recreate"])
async def either(
    request: pytest.FixtureRequest, settings: Settings, engines: list[MortalEngine]
) -> AsyncIterator[DeploymentManager]:
    """Started, in both ways of activating."""
    deployments = make_mortal(settings.model_copy(update={"rollout": request.param}), engines)
    await deployments.start()
    yield deployments
    MortalEngine.starts.set()
    await deployments.stop()


def restarted_since(count: float) -> bool:
    return restarts(OLD) == count + 1


async def ready(shop: Shop) -> None:
    async def is_ready() -> bool:
        return bool((await shop.get("/health/ready")).json().get("status") == "ready")

    await until(is_ready)


def restarts(version: str) -> float:
    return REGISTRY.get_sample_value("gemserve_engine_restarts_total", {"model": version}) or 0.0


def test_attempts_are_spaced_until_one_has_lasted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    now = 0.0
    backoff, pauses = Backoff(lambda: now), []
    for _ in range(9):
        pauses.append(backoff.pause)
        now += backoff.pause
        assert backoff.due
        backoff.attempted(succeeded=False)
        assert not backoff.due
    assert pauses == [0, 1, 2, 4, 8, 16, 32, 60, 60]
    backoff.attempted(succeeded=True)
    now += 59
    backoff.lost()
    assert backoff.pause == 60, "it died too soon"
    backoff.attempted(succeeded=True)
    now += 61
    backoff.lost()
    assert (backoff.pause, backoff.due) == (0, True)


async def test_a_dead_engine_comes_back_with_the_items_of_before(shop: Shop, engines: list[MortalEngine]) -> None:
    await shop.client.delete("/items/item-9")
    await shop.client.put("/items/new", json={"title": "new", "price": 3.0})
    before = (await shop.get("/search", q="tent", k=200, filter="price < 20")).json()
    for _ in range(2):
        counted = restarts(OLD)
        engines[-1].die()
        await until(partial(restarted_since, counted))
        after = (await shop.get("/search", q="tent", k=200, filter="price < 20")).json()
        assert after["items"] == before["items"]
        assert after["catalog_version"] == before["catalog_version"]
        assert (await shop.get("/health/ready")).json()["status"] == "ready"
    assert [engine.version for engine in engines] == [OLD] * 3
    await until(lambda: MortalEngine.running == 1)
    assert MortalEngine.most_running == 1, "the dead one's memory is the new one's"


async def test_while_it_is_away(shop: Shop, engines: list[MortalEngine], changes: MemoryChanges) -> None:
    MortalEngine.starts.clear()
    engines[0].die()
    refused = await shop.get("/search", q="tent")
    assert_problem(refused, 503, "engine_unavailable")
    assert refused.headers["retry-after"] == "1"
    checks = assert_problem(await shop.get("/health/ready"), 503, "not_ready")["checks"]
    assert checks["engine"] == "the engine died and is being started again"  # type: ignore[index]
    assert_problem(await shop.client.put("/items/new", json={"title": "new"}), 503, "engine_unavailable")
    assert changes.number == 0, "what was refused was not written"
    assert (await shop.post({"user_id": "ada", "type": "view", "item_id": "item-9"})).status_code == 202
    assert (await shop.client.get("/items/item-9")).status_code == 200
    MortalEngine.starts.set()
    await ready(shop)
    assert (await shop.client.put("/items/new", json={"title": "new"})).status_code == 200
    assert "new" in await shop.ids("/search", q="tent", k=200)


async def test_changes_that_others_wrote_meanwhile_are_taken_over(
    shop: Shop, engines: list[MortalEngine], changes: MemoryChanges
) -> None:
    await shop.client.delete("/items/item-9")
    MortalEngine.starts.clear()
    engines[0].die()
    assert await changes.write({"item-8": Delete("item-8")}, expected=1, number=2)
    with structlog.testing.capture_logs() as logs:
        await asyncio.sleep(0.6)  # it looks twice a second
    assert "remote_changes_not_applied" not in {entry["event"] for entry in logs}
    MortalEngine.starts.set()

    async def has_followed() -> bool:
        return bool((await shop.get("/version")).json()["catalog_version"] == 2)

    await until(has_followed, pause=0.05)
    assert not {"item-8", "item-9"} & set(await shop.ids("/search", q="tent", k=200))


async def test_it_goes_on_trying_and_says_why(either: DeploymentManager, engines: list[MortalEngine]) -> None:
    with structlog.testing.capture_logs() as logs:
        MortalEngine.fault = EngineError("model.safetensors is missing")
        engines[0].die()
        await until(lambda: len(engines) > 7)
        MortalEngine.fault = None
        await until(lambda: either.router.current.engine.alive)
        await asyncio.sleep(0)
    failed = [entry for entry in logs if entry["event"] == "engine_not_started_again"]
    assert {entry["reason"] for entry in failed} == {"model.safetensors is missing"}
    pauses = [entry["tried_again_in"] for entry in failed]
    assert pauses[:6] == [0.002, 0.004, 0.008, 0.016, 0.03, 0.03]
    assert [entry["event"] for entry in logs if "reason" not in entry and "model" in entry] == [
        "engine_died",
        "engine_started_again",
    ]
    assert all(engine.stops > 0 for engine in engines[:-1])


async def test_an_unforeseen_fault_does_not_end_the_watch(
    either: DeploymentManager, engines: list[MortalEngine]
) -> None:
    MortalEngine.fault = OSError("the disk is away")
    engines[0].die()
    await until(lambda: len(engines) > 2)
    MortalEngine.fault = None
    await until(lambda: either.router.current.engine.alive)


async def test_one_that_fails_its_golden_queries_is_not_served(
    either: DeploymentManager, engines: list[MortalEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(_: object, engine: MortalEngine, __: object) -> None:
        engine.die()
        raise EngineError("it died during verification")

    with monkeypatch.context() as broken:
        broken.setattr("server.serving.loader.warm_up_check", refuse)
        engines[0].die()
        await until(lambda: len(engines) > 2)
        assert not either.router.current.engine.alive
    await until(lambda: either.router.current.engine.alive)


async def test_another_version_can_be_activated_when_this_one_does_not_start(
    either: DeploymentManager, engines: list[MortalEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is how an operator gets out of a model that crashes."""

    async def start(self: MortalEngine) -> None:
        if self.version == OLD:
            raise EngineError("it crashes")
        await RecordingEngine.start(self)

    monkeypatch.setattr(MortalEngine, "start", start)
    engines[0].die()
    await until(lambda: len(engines) > 3)
    assert (await either.activate(NEW)).previous == OLD
    assert (either.router.current.version, either.router.current.engine.alive) == (NEW, True)
    tried = len(engines)
    await asyncio.sleep(0.1)
    assert len(engines) == tried, "nobody tries to start the old one any more"


async def test_an_activation_asked_for_while_an_engine_is_being_started_waits(
    either: DeploymentManager, engines: list[MortalEngine]
) -> None:
    MortalEngine.starts.clear()
    engines[0].die()
    await until(lambda: len(engines) == 2)
    activating = asyncio.create_task(either.activate(NEW))
    await asyncio.sleep(0.02)
    assert len(engines) == 2
    MortalEngine.starts.set()
    assert (await activating).version == NEW
    assert either.router.current.engine.alive
    await until(lambda: MortalEngine.running == 1)


async def test_an_engine_that_dies_while_another_version_is_loaded(
    either: DeploymentManager, engines: list[MortalEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def die(_: object, engine: MortalEngine, __: object) -> None:
        monkeypatch.setattr("server.serving.loader.warm_up_check", warm_up_check)
        for every in engines:
            every.die()
        await engine.check()

    monkeypatch.setattr("server.serving.loader.warm_up_check", die)
    with pytest.raises(RolloutFailed, match="is not served"):
        await either.activate(NEW)
    await until(lambda: either.router.current.engine.alive)
    assert either.router.current.version == OLD


async def test_an_engine_that_can_load_neither_version_in_place_is_started_again(
    settings: Settings, engines: list[MortalEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def reload(_: MortalEngine, bundle: ShopBundle) -> None:
        raise EngineError(f"{bundle.version} cannot be read")

    monkeypatch.setattr(MortalEngine, "reload", reload)
    deployments = make_mortal(settings.model_copy(update={"rollout": "recreate"}), engines)
    await deployments.start()
    with pytest.raises(RolloutFailed, match=f"{OLD} still is: {NEW} cannot be read"):
        await deployments.activate(NEW)
    assert not engines[0].alive, "nobody knows what it holds"
    await until(lambda: deployments.router.current.engine.alive)
    assert [engine.version for engine in engines] == [OLD, OLD]
    await deployments.stop()


async def test_shares_of_a_dead_model_are_answered_by_the_others(shop: Shop, engines: list[MortalEngine]) -> None:
    weights = {"weights": {OLD: 1, NEW: 1}}
    assert (await shop.client.put("/admin/traffic", json=weights)).status_code == 200

    async def models() -> dict[str, str]:
        return {f"u{n}": (await shop.get("/recommend", user=f"u{n}", k=1)).json()["model"] for n in range(20)}

    dealt = await models()
    assert set(dealt.values()) == {OLD, NEW}
    for dead, other in ((NEW, OLD), (OLD, NEW)):
        MortalEngine.starts.clear()
        next(engine for engine in reversed(engines) if engine.version == dead).die()
        assert set((await models()).values()) == {other}
        readiness = (await shop.get("/health/ready")).json()
        assert readiness["status"] == "degraded"
        assert dead in readiness["checks"]["engine"]
        MortalEngine.starts.set()
        await ready(shop)
        assert engines[-1].version == dead
        assert await models() == dealt, "every user has the model of before"
    assert (await shop.get("/admin/models")).json()["traffic"] == weights["weights"]


async def test_a_change_of_items_does_not_end_the_share_of_a_dead_model(
    shop: Shop, engines: list[MortalEngine]
) -> None:
    await shop.client.put("/admin/traffic", json={"weights": {OLD: 1, NEW: 1}})
    MortalEngine.starts.clear()
    engines[1].die()
    assert (await shop.client.put("/items/new", json={"title": "new"})).status_code == 200
    MortalEngine.starts.set()
    await ready(shop)
    assert (await shop.get("/admin/models")).json()["traffic"] == {OLD: 1, NEW: 1}
    for number in range(20):
        assert "new" in await shop.ids("/recommend", user=f"u{number}", k=200)


async def test_a_shutdown_gives_up_an_engine_that_is_being_started(
    deployments: DeploymentManager, engines: list[MortalEngine]
) -> None:
    await deployments.start()
    MortalEngine.starts.clear()
    engines[0].die()
    await until(lambda: len(engines) == 2)
    async with asyncio.timeout(PATIENCE_SECONDS):
        await deployments.stop()
    assert MortalEngine.running == 0
    assert not any(engine.alive for engine in engines)


async def test_a_shutdown_does_not_wait_for_the_next_attempt(
    deployments: DeploymentManager, engines: list[MortalEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.serving.supervisor.MIN_PAUSE_SECONDS", 3600.0)
    monkeypatch.setattr("server.serving.supervisor.MAX_PAUSE_SECONDS", 3600.0)
    await deployments.start()
    MortalEngine.fault = EngineError("no memory")
    engines[0].die()
    await until(lambda: len(engines) == 2 and engines[1].stops > 0)
    async with asyncio.timeout(PATIENCE_SECONDS):
        await deployments.stop()
    assert MortalEngine.running == 0
