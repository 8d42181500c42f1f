"""A fleet over a real Redis: the store itself, and whole applications that change their models together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import cast

import httpx
import pytest
from redis.asyncio import Redis

from catalog.bundle.bundle import Bundle
from server.app import create_app
from server.core.errors import HistoryUnavailable
from server.core.settings import Settings
from server.serving.fleet import Fleet, FleetTimes
from server.serving.fleet.ballot import begun, proposed
from server.serving.manager import DeploymentManager, ModelControl
from server.storage.keyspace import KEYS
from server.storage.shared.fleet import RedisFleet
from server.storage.shared.fleet_state import Configured, Ended, FleetState, Member, Routing, Vote
from tests.support.http_shop import Shop
from tests.support.problems import assert_problem
from tests.support.redis_server import PassingRedis
from tests.support.redis_store import settings
from tests.support.small_shop import RecordingEngine, ShopBundle, publish_names

pytestmark = pytest.mark.integration
OLD, NEW = "2025-11-20-a", "2025-11-21-a"
HALF = {OLD: 50, NEW: 50}
USERS = [f"user-{number}" for number in range(10)]
TIMES = FleetTimes(lease=300, look=30, flip=200)
MEMBER = Member("host:8000", 1, (OLD,), Vote("p", "broken"), "a problem")


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[RedisFleet]:
    store = RedisFleet(settings(redis_url), "shop")
    yield store
    await store.close()


async def test_a_state_is_written_only_over_the_one_that_was_read(store: RedisFleet, redis_url: str) -> None:
    other = RedisFleet(settings(redis_url), "shop")
    first = begun(FleetState(), Routing(OLD))
    assert await store.write(first, expected=0, flips=True)
    assert not await other.write(first, expected=0, flips=True)
    look = await other.look(None, MEMBER, 1_000)
    assert look.state == replace(first, flipped_at=look.state.flipped_at)
    assert 0 <= look.now_ms - look.state.flipped_at < 60_000
    assert look.members == {}
    proposal = proposed(look.state, Routing(OLD, HALF), name="p", voters=("a", "b"), until=5)
    second = replace(proposal, ended=(Ended("o", "broken"), Ended("n")), before=Routing(NEW), previous=NEW)
    second = replace(second, configured=Configured(NEW, "p", "broken"))
    assert await other.write(second, expected=1, flips=False)
    assert (await store.look(None, MEMBER, 1_000)).state == second, "flipped_at too"
    await other.close()


async def test_fleets_of_other_names_and_namespaces_share_nothing(store: RedisFleet, redis_url: str) -> None:
    await store.write(begun(FleetState(), Routing(OLD)), expected=0, flips=True)
    for other in (RedisFleet(settings(redis_url), "x"), RedisFleet(settings(redis_url, namespace="shoes"), "shop")):
        assert (await other.look("a", MEMBER, 1_000)).state == FleetState()
        await other.close()
    assert (await store.look(None, MEMBER, 1_000)).members == {}


async def test_a_lease_ends_by_the_clock_of_redis(store: RedisFleet, raw: Redis) -> None:
    assert (await store.look("a", MEMBER, 60_000)).live == {"a": MEMBER}
    late = (await store.look("b", MEMBER, 0)).members["b"]
    assert not late.live
    await raw.zadd(KEYS.fleet("shop", "leases"), {"a": 1_000, "b": 1_000})
    look = await store.look("c", MEMBER, 60_000)
    assert look.members.keys() == {"c"}, "a lost member is forgotten after a while"
    assert await raw.hkeys(KEYS.fleet("shop", "members")) == ["c"]
    await store.leave("c")
    assert not await raw.exists(KEYS.fleet("shop", "members"), KEYS.fleet("shop", "leases"))


@pytest.mark.parametrize("text", ["{", '{"epoch": "x"}', '{"routing": {}}'])
async def test_what_another_program_wrote_is_not_taken_for_a_state(store: RedisFleet, raw: Redis, text: str) -> None:
    await raw.hset(KEYS.fleet("shop", "state"), mapping={"number": 1, "state": text})
    with pytest.raises(HistoryUnavailable, match="not as this server writes it"):
        await store.look(None, MEMBER, 1_000)


@asynccontextmanager
async def open_shops(bundles: Path, redis: str, count: int = 2) -> AsyncIterator[list[Shop]]:
    def deploy(settings: Settings) -> DeploymentManager:
        return DeploymentManager(
            settings, lambda _, version: cast(Bundle, ShopBundle(version)), lambda *_: RecordingEngine()
        )

    def control(deployments: DeploymentManager, settings: Settings) -> ModelControl:
        assert settings.fleet is not None
        store = RedisFleet(settings.storage, settings.fleet)
        return Fleet(deployments, store, name=settings.fleet, address="test:8000", times=TIMES)

    made = Settings(
        bundles=bundles,
        redis=redis,
        redis_write_timeout_ms=5_000,
        fleet="shop",
        cursor_secret="0123456789abcdef",
        open_admin=True,
    )
    async with AsyncExitStack() as stack:
        shops = []
        for _ in range(count):
            app = create_app(made, deploy=deploy, control=control)
            await stack.enter_async_context(app.router.lifespan_context(app))
            transport = httpx.ASGITransport(app=app)
            shops.append(
                Shop(await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url="http://shop")))
            )
        yield shops


@pytest.fixture
def bundles(tmp_path: Path) -> Path:
    folder = tmp_path / "bundles"
    folder.mkdir()
    publish_names(folder, OLD, NEW)
    return folder


async def models(shop: Shop) -> list[str]:
    return [(await shop.get("/recommend", user=user, k=1)).json()["model"] for user in USERS]


async def status(shop: Shop) -> int:
    return (await shop.get("/health/ready")).status_code


async def shows_all(shop: Shop) -> None:
    async with asyncio.timeout(60):
        fleet = (await shop.get("/admin/fleet")).json()
        while any(member["epoch"] != 2 for member in fleet["members"]):
            await asyncio.sleep(0.02)
            fleet = (await shop.get("/admin/fleet")).json()
    members = fleet.pop("members")
    told = {"name": "shop", "epoch": 2, "current": NEW, "previous": OLD, "traffic": {NEW: 100}}
    assert fleet == told | {"passing": False, "change": None, "configured": None}
    assert sorted(member["here"] for member in members) == [False, True]
    for member in members:
        assert (member["address"], member["live"], member["problem"]) == ("test:8000", True, None)
        assert 0 < member["lease_ms"] <= TIMES.lease
        assert NEW in member["versions"]
    text = (await shop.get("/metrics")).text
    assert "gemserve_fleet_applied_epoch 2.0" in text


async def test_activation_rollback_and_split_hold_at_every_server_and_after_restarts(
    bundles: Path, redis_url: str
) -> None:
    async with open_shops(bundles, redis_url) as (one, two):
        assert await status(one) == await status(two) == 200
        changed = (await one.client.post(f"/admin/models/{NEW}/activate")).json()
        assert (changed["model"], changed["previous"]) == (NEW, OLD)
        assert set(await models(one)) == set(await models(two)) == {NEW}
        assert (await two.get("/admin/models")).json()["previous"] == OLD
        await shows_all(two)
        assert (await two.client.post("/admin/models/rollback")).json()["model"] == OLD
        assert set(await models(one)) == {OLD}
        assert (await two.client.put("/admin/traffic", json={"weights": HALF})).json()["traffic"] == HALF
        dealt = await models(one)
        assert set(dealt) == {OLD, NEW}
        assert await models(two) == dealt
        listed = (await one.get("/admin/models")).json()
        assert (listed["traffic"], listed["previous"]) == (HALF, NEW)
    async with open_shops(bundles, redis_url) as (one, two):
        assert await models(one) == await models(two) == dealt, "after all were restarted"
        assert (await one.get("/admin/models")).json()["previous"] == NEW
        assert (await two.client.delete("/admin/traffic")).json()["traffic"] == {OLD: 100}
        assert set(await models(one)) == {OLD}
        assert await status(one) == 200


async def test_a_fleet_starts_without_redis_and_is_ready_when_it_has_looked(
    bundles: Path, passing_redis: PassingRedis
) -> None:
    async with open_shops(bundles, passing_redis.url, 1) as (shop,):
        problem = assert_problem(await shop.get("/health/ready"), 503, "not_ready")
        assert "not known yet" in problem["checks"]["fleet"]
        assert_problem(await shop.get("/recommend", user="ada"), 503, "not_ready")
        assert_problem(await shop.client.post(f"/admin/models/{NEW}/activate"), 503, "history_unavailable")
        passing_redis.come()
        async with asyncio.timeout(60):
            while await status(shop) != 200:
                await asyncio.sleep(0.05)
        assert set(await models(shop)) == {OLD}
        passing_redis.go()
        assert set(await models(shop)) == {OLD}, "what is known holds while Redis is away"
        assert await status(shop) == 200
