"""Whole applications on one Redis: the traffic split holds in all of them, outlives them, and waits for Redis."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import httpx
import pytest
from redis.asyncio import Redis

from catalog.bundle.bundle import Bundle
from catalog.errors import BundleError
from server.app import create_app
from server.core.errors import HistoryUnavailable
from server.core.settings import Settings
from server.serving.manager import DeploymentManager
from server.storage.keyspace import KEYS
from server.storage.protocol import StoredSplit
from server.storage.shared.state import RedisSplit
from tests.support.http_shop import Shop
from tests.support.problems import assert_problem
from tests.support.redis_server import PassingRedis
from tests.support.redis_store import settings
from tests.support.small_shop import RecordingEngine, ShopBundle, publish_names

pytestmark = pytest.mark.integration
OLD, NEW = "2025-11-20-a", "2025-11-21-a"
HALF = {OLD: 50, NEW: 50}
ALONE = {OLD: 100}
USERS = [f"user-{number}" for number in range(20)]


@pytest.fixture
def bundles(tmp_path: Path) -> Path:
    folder = tmp_path / "bundles"
    folder.mkdir()
    publish_names(folder, OLD, NEW)
    return folder


@asynccontextmanager
async def open_shop(bundles: Path, redis: str) -> AsyncIterator[Shop]:
    def open_bundle(settings: Settings, version: str) -> Bundle:
        if not (settings.bundles / version).is_dir():
            raise BundleError(f"{version} is not there")
        return cast(Bundle, ShopBundle(version))

    def deploy(settings: Settings) -> DeploymentManager:
        return DeploymentManager(settings, open_bundle, lambda *_: RecordingEngine())

    app = create_app(
        Settings(
            bundles=bundles, redis=redis, redis_read_timeout_ms=5_000, redis_write_timeout_ms=5_000, open_admin=True
        ),
        deploy=deploy,
    )
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            yield Shop(client)


async def put(shop: Shop, weights: dict[str, int]) -> httpx.Response:
    return await shop.client.put("/admin/traffic", json={"weights": weights})


async def weights(shop: Shop) -> dict[str, int]:
    listed: dict[str, int] = (await shop.get("/admin/models")).json()["traffic"]
    return listed


async def models(shop: Shop) -> list[str]:
    return [(await shop.get("/recommend", user=user, k=1)).json()["model"] for user in USERS]


async def reaches(shop: Shop, wanted: dict[str, int]) -> None:
    async with asyncio.timeout(60):
        while await weights(shop) != wanted:
            await asyncio.sleep(0.05)


async def test_every_server_and_a_restarted_one_give_each_user_the_same_model(bundles: Path, redis_url: str) -> None:
    async with open_shop(bundles, redis_url) as one, open_shop(bundles, redis_url) as other:
        assert (await put(one, HALF)).json()["traffic"] == HALF
        await reaches(other, HALF)
        dealt = await models(one)
        assert set(dealt) == {OLD, NEW}
        assert await models(other) == dealt
    async with open_shop(bundles, redis_url) as again, open_shop(bundles, redis_url) as other:
        assert await weights(again) == HALF, "before it is ready"
        assert await models(again) == dealt
        assert (await again.client.delete("/admin/traffic")).json()["traffic"] == ALONE
        await reaches(other, ALONE)
    async with open_shop(bundles, redis_url) as last:
        assert await weights(last) == ALONE


async def test_a_server_whose_bundles_lack_a_version_is_degraded_until_it_comes(
    bundles: Path, tmp_path: Path, redis_url: str
) -> None:
    poor = tmp_path / "poor"
    poor.mkdir()
    publish_names(poor, OLD)
    async with open_shop(bundles, redis_url) as one, open_shop(poor, redis_url) as other:
        await put(one, HALF)
        await becomes(other, "degraded")
        ready = (await other.get("/health/ready")).json()
        assert f"{NEW} is not there" in ready["checks"]["traffic"]
        assert set(await models(other)) == {OLD}
        (poor / NEW).mkdir()
        await becomes(other, "ready")
        assert await models(other) == await models(one)


async def becomes(shop: Shop, status: str) -> None:
    async with asyncio.timeout(60):
        while (await shop.get("/health/ready")).json()["status"] != status:
            await asyncio.sleep(0.05)


async def test_while_redis_is_away_the_split_holds_and_cannot_be_changed(
    bundles: Path, passing_redis: PassingRedis
) -> None:
    passing_redis.come()
    async with open_shop(bundles, passing_redis.url) as shop:
        assert (await put(shop, HALF)).status_code == 200
        passing_redis.go()
        assert await weights(shop) == HALF
        assert_problem(await put(shop, {OLD: 90, NEW: 10}), 503, "history_unavailable")
        assert_problem(await shop.client.delete("/admin/traffic"), 503, "history_unavailable")
        assert await weights(shop) == HALF
        assert set(await models(shop)) == {OLD, NEW}
        passing_redis.come()
        assert (await put(shop, {OLD: 90, NEW: 10})).status_code == 200


async def test_a_split_is_written_only_over_the_one_that_was_read(redis_url: str) -> None:
    store, other = RedisSplit(settings(redis_url)), RedisSplit(settings(redis_url))
    assert await store.read() == StoredSplit(0, None)
    assert await store.write(HALF, expected=0, number=1)
    assert not await other.write(None, expected=0, number=1)
    assert await other.read() == StoredSplit(1, HALF)
    assert await other.write(None, expected=1, number=2)
    assert await store.read() == StoredSplit(2, None)
    await store.close()
    await other.close()


@pytest.mark.parametrize("text", ["{", "[]", '{"a": -1}', '{"a": "x"}'])
async def test_what_another_program_wrote_is_not_taken_for_a_split(redis_url: str, raw: Redis, text: str) -> None:
    await raw.hset(KEYS.split, mapping={"number": 1, "weights": text})
    store = RedisSplit(settings(redis_url))
    with pytest.raises(HistoryUnavailable, match="not as this server writes it"):
        await store.read()
    await store.close()
