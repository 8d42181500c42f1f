"""Whole applications on one Redis: edits of items outlive a server, reach the others, and wait for Redis."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from server.app import create_app
from server.core.settings import Settings
from tests.support.http_shop import Shop
from tests.support.problems import assert_problem
from tests.support.redis_server import PassingRedis
from tests.support.small_shop import make_deployments, publish_names

pytestmark = pytest.mark.integration


@pytest.fixture
def bundles(tmp_path: Path) -> Path:
    publish_names(tmp_path, "2025-11-20-a")
    return tmp_path


@asynccontextmanager
async def open_shop(bundles: Path, redis: str) -> AsyncIterator[Shop]:
    settings = Settings(
        bundles=bundles, redis=redis, redis_read_timeout_ms=5_000, redis_write_timeout_ms=5_000, open_admin=True
    )
    app = create_app(settings, deploy=make_deployments)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            yield Shop(client)


async def version(shop: Shop) -> int:
    return int((await shop.get("/version")).json()["catalog_version"])


async def reaches(shop: Shop, number: int) -> None:
    async with asyncio.timeout(60):
        while await version(shop) != number:
            await asyncio.sleep(0.05)


async def test_a_restarted_server_and_another_one_serve_the_same_items(bundles: Path, redis_url: str) -> None:
    async with open_shop(bundles, redis_url) as one, open_shop(bundles, redis_url) as other:
        put = await one.client.put("/items/new/tent 1", json={"title": "A new tent", "price": 12.5})
        assert (put.status_code, put.json()["catalog_version"]) == (200, 1)
        await reaches(other, 1)
        assert (await other.get("/items/new/tent 1")).json()["price"] == 12.5
        assert (await other.client.delete("/items/item-9")).json()["catalog_version"] == 2
        await reaches(one, 2)
        assert_problem(await one.get("/items/item-9"), 404, "item_not_found")
        shown = set(await one.ids("/search", q="tent", k=200))
    async with open_shop(bundles, redis_url) as again:
        assert await version(again) == 2
        assert set(await again.ids("/search", q="tent", k=200)) == shown
        assert "new/tent 1" in shown


async def test_while_redis_is_away_the_bundle_is_served_and_edits_come_later(
    bundles: Path, passing_redis: PassingRedis
) -> None:
    passing_redis.come()
    async with open_shop(bundles, passing_redis.url) as shop:
        await shop.client.put("/items/new", json={"title": "new"})
    passing_redis.go()
    async with open_shop(bundles, passing_redis.url) as shop:
        assert await version(shop) == 0
        assert_problem(await shop.get("/items/new"), 404, "item_not_found")
        assert_problem(await shop.client.put("/items/item-9", json={}), 503, "history_unavailable")
        for method, path in (("GET", "/users/ada/history"), ("DELETE", "/users/ada")):
            assert_problem(await shop.client.request(method, path), 503, "history_unavailable")
        passing_redis.come()
        await reaches(shop, 1)
        assert (await shop.get("/items/new")).json()["title"] == "new"


async def test_a_redis_that_restarts_empty_costs_no_request(bundles: Path, passing_redis: PassingRedis) -> None:
    async with open_shop(bundles, passing_redis.url) as shop:
        passing_redis.come("first")
        await shop.client.put("/items/new", json={"title": "new"})
        await shop.saw("ada", "item-9")
        passing_redis.go()
        passing_redis.come("second")
        await reaches(shop, 2)  # brought back under another number
        assert (await shop.get("/users/ada/history")).json()["total"] == 0
        assert (await shop.client.post("/users/ada/merge", json={"session": "visit"})).json()["moved"] == 0
        assert (await shop.client.delete("/users/ada")).json()["events_erased"] == 0
        assert (await shop.post({"user_id": "ada", "type": "view", "item_id": "new"})).status_code == 202
        assert (await shop.client.delete("/items/new")).json()["catalog_version"] == 3
