"""Whole applications on one Redis: synonyms hold in all of them within a second, outlive them, and wait for Redis."""

import asyncio
from pathlib import Path

import pytest
from redis.asyncio import Redis

from catalog.priors.words import SynonymSet
from server.core.errors import HistoryUnavailable
from server.storage.keyspace import KEYS
from server.storage.protocol import StoredSynonyms
from server.storage.shared.state import RedisSynonyms
from tests.integration.test_redis_traffic_split import bundles, open_shop
from tests.support.http_shop import Shop
from tests.support.problems import assert_problem
from tests.support.redis_server import PassingRedis
from tests.support.redis_store import settings

pytestmark = pytest.mark.integration
__all__ = ["bundles"]
SEATS = SynonymSet("seats", ("sofa", "couch"))


async def put(shop: Shop, name: str, *synonyms: str) -> None:
    response = await shop.client.put(f"/synonyms/{name}", json={"synonyms": synonyms})
    assert response.status_code == 200, response.text


async def reaches(shop: Shop, names: list[str]) -> None:
    async with asyncio.timeout(30):
        while [one["id"] for one in (await shop.get("/synonyms")).json()["synonyms"]] != names:
            await asyncio.sleep(0.02)


async def understood(shop: Shop, query: str) -> list[str]:
    found = (await shop.get("/search", q=query, k=1)).json()["understood"]
    return [] if found is None else [one["read_as"] for one in found["synonyms"]]


async def test_every_server_and_a_restarted_one_reads_them(bundles: Path, redis_url: str) -> None:
    async with open_shop(bundles, redis_url) as one, open_shop(bundles, redis_url) as other:
        await put(one, "seats", "sofa", "couch")
        assert await understood(one, "sofa") == ["couch"], "at once"
        await reaches(other, ["seats"])
        assert await understood(other, "couch") == ["sofa"]
        await asyncio.gather(*(put(shop, f"set {n}", f"a{n}", f"b{n}") for n in range(6) for shop in (one, other)))
        await reaches(one, ["seats", *(f"set {n}" for n in range(6))])
        await reaches(other, ["seats", *(f"set {n}" for n in range(6))])
    async with open_shop(bundles, redis_url) as again, open_shop(bundles, redis_url) as other:
        assert await understood(again, "sofa") == ["couch"], "before it is ready"
        assert (await other.client.delete("/synonyms/seats")).status_code == 200
        await reaches(again, [f"set {n}" for n in range(6)])
        assert await understood(again, "sofa") == []


async def test_while_redis_is_away_they_hold_and_an_empty_one_is_told(
    bundles: Path, passing_redis: PassingRedis
) -> None:
    passing_redis.come()
    async with open_shop(bundles, passing_redis.url) as shop:
        await put(shop, "seats", "sofa", "couch")
        passing_redis.go()
        assert await understood(shop, "sofa") == ["couch"]
        refused = await shop.client.put("/synonyms/more", json={"synonyms": ["a", "b"]})
        assert_problem(refused, 503, "history_unavailable")
        assert_problem(await shop.client.delete("/synonyms/seats"), 503, "history_unavailable")
        passing_redis.come("empty")
        async with open_shop(bundles, passing_redis.url) as other:
            await reaches(other, ["seats"])


async def test_they_are_written_only_over_those_that_were_read(redis_url: str) -> None:
    store, other = RedisSynonyms(settings(redis_url)), RedisSynonyms(settings(redis_url))
    assert await store.read() == StoredSynonyms(0, {})
    assert await store.write({"seats": SEATS}, expected=0, number=1)
    assert not await other.write({}, expected=0, number=1)
    assert await other.read() == StoredSynonyms(1, {"seats": SEATS})
    assert await other.number() == 1
    await store.close()
    await other.close()


@pytest.mark.parametrize("text", ["{", "{}", '[{"id": "a"}]', '[{"id": "a", "synonyms": 3}]'])
async def test_what_another_program_wrote_is_not_taken_for_synonyms(redis_url: str, raw: Redis, text: str) -> None:
    await raw.hset(KEYS.synonyms, mapping={"number": 1, "sets": text})
    store = RedisSynonyms(settings(redis_url))
    with pytest.raises(HistoryUnavailable, match="not as this server writes"):
        await store.read()
    await store.close()
