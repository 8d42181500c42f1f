"""Rate limits of a fleet over a real Redis: the store itself, and two whole applications."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
from redis.asyncio import Redis

from server.app import create_app
from server.core.errors import HistoryUnavailable
from server.core.settings import Settings
from server.storage.keyspace import KEYS
from server.storage.managed_redis import free_port
from server.storage.shared.tokens import RedisTokens
from tests.support.problems import assert_problem
from tests.support.redis_store import settings
from tests.support.small_shop import RecordingEngine, make_deployments, publish_names

pytestmark = pytest.mark.integration
KEY = KEYS.tokens("shop", "key:a")


@pytest.fixture
async def stores(redis_url: str) -> AsyncIterator[list[RedisTokens]]:
    """Of two servers of one fleet, and of one of another fleet and one of another namespace."""
    made = [
        RedisTokens(settings(redis_url), "shop"),
        RedisTokens(settings(redis_url), "shop"),
        RedisTokens(settings(redis_url), "other"),
        RedisTokens(settings(redis_url, namespace="shoes"), "shop"),
    ]
    yield made
    for store in made:
        await store.close()


async def test_servers_of_a_fleet_take_of_one_bucket(stores: list[RedisTokens], raw: Redis) -> None:
    one, two, *others = stores
    waits = await asyncio.gather(*(store.take("key:a", 0.001, 5) for store in (one, two) * 10))
    assert sum(wait == 0 for wait in waits) == 5
    assert all(0 < wait <= 1_000 for wait in waits if wait)
    assert 4_000_000 < await raw.pttl(KEY) <= 5_000_000, "the bucket is forgotten when it is full"
    assert await one.take("key:b", 0.001, 5) == await one.take("address:a", 0.001, 5) == 0
    for other in others:
        assert await other.take("key:a", 0.001, 5) == 0


@pytest.mark.parametrize(("seconds_until_full", "allowed"), [(-5, 4), (0.5, 3), (1.5, 1), (2.5, 0), (1_000, 0)])
async def test_a_bucket_fills_by_the_clock_of_redis(
    stores: list[RedisTokens], raw: Redis, seconds_until_full: float, allowed: int
) -> None:
    """Two tokens a second, four at most. A clock that went back by minutes makes nobody wait for minutes."""
    seconds, micros = await raw.time()
    await raw.set(KEY, f"{seconds * 1e6 + micros + seconds_until_full * 1e6:.0f}")
    waits = [await stores[turn % 2].take("key:a", 2, 4) for turn in range(5)]
    assert allowed <= sum(wait == 0 for wait in waits) <= allowed + 1, "a busy machine sees the next token come"
    assert max(waits) <= 0.5


async def test_never_more_than_the_burst_and_the_rate_allow(stores: list[RedisTokens]) -> None:
    began, taken = time.monotonic(), 0
    while time.monotonic() < began + 0.3:
        waits = await asyncio.gather(*(store.take("key:a", 50, 3) for store in stores[:2]))
        taken += waits.count(0)
    most = 3 + 50 * (time.monotonic() - began)
    assert 3 < taken <= most


async def test_a_rate_that_changed_counts_at_once(stores: list[RedisTokens]) -> None:
    assert await stores[0].take("key:a", 0.001, 1) == 0
    assert await stores[1].take("key:a", 0.001, 1) > 900
    assert await stores[1].take("key:a", 1_000_000, 1) <= 0.001


async def test_what_another_program_wrote_and_a_redis_that_is_away_are_errors(
    stores: list[RedisTokens], raw: Redis
) -> None:
    await raw.hset(KEY, "a", "b")
    with pytest.raises(HistoryUnavailable, match="WRONGTYPE"):
        await stores[0].take("key:a", 1, 1)
    away = RedisTokens(settings(f"redis://127.0.0.1:{free_port()}/0"), "shop")
    with pytest.raises(HistoryUnavailable):
        await away.take("key:a", 1, 1)
    await away.close()


async def test_twenty_requests_at_once_over_two_servers_are_held_to_one_rate(tmp_path: Path, redis_url: str) -> None:
    publish_names(tmp_path, "2025-11-20-a")
    chosen = Settings(
        bundles=tmp_path,
        redis=redis_url,
        redis_read_timeout_ms=20_000,
        fleet="shop",
        cursor_secret="0123456789abcdef",
        rate_per_second=0.01,
        rate_burst=7,
    )
    async with AsyncExitStack() as stack:
        clients = []
        for _ in range(2):
            app = create_app(chosen, deploy=lambda _: make_deployments(chosen, RecordingEngine()))
            await stack.enter_async_context(app.router.lifespan_context(app))
            client = httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://shop")
            clients.append(await stack.enter_async_context(client))
        answers = await asyncio.gather(*(client.get("/items/item-9") for client in clients * 10))
    refused = [answer for answer in answers if answer.status_code != 200]
    assert len(answers) - len(refused) == 7
    for answer in refused:
        assert_problem(answer, 429, "rate_limited")
        assert 90 <= int(answer.headers["retry-after"]) <= 100
