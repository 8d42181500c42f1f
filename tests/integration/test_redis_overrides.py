"""Whole applications on one Redis: overrides hold in all of them within a second, outlive them, and wait for Redis."""

import asyncio
import time
from dataclasses import replace
from pathlib import Path

import pytest
from redis.asyncio import Redis

from server.core.errors import HistoryUnavailable
from server.retrieval.override_reader import OverrideReader
from server.serving.sync.override_sync import OverrideSync
from server.storage.keyspace import KEYS
from server.storage.overrides import Boost, Include, Override, Rule
from server.storage.protocol import StoredOverrides
from server.storage.shared.state import RedisOverrides
from tests.integration.test_redis_traffic_split import bundles, open_shop
from tests.support.http_shop import Shop
from tests.support.problems import assert_problem
from tests.support.redis_server import PassingRedis
from tests.support.redis_store import settings
from tests.support.waiting import until

pytestmark = pytest.mark.integration
__all__ = ["bundles"]
WHOLE = Override(
    "sale",
    Rule("tent", "contains", "price < 9", ("a", "b")),
    (Include("item-9", 2),),
    ("item-3", "κανό"),
    "price > 1",
    (Boost("price > 2", 1.5),),
    3,
    1_700_000_000.5,
    1_800_000_000.0,
)
PIN = {"rule": {"query": "tent"}, "includes": [{"id": "item-9", "position": 1}]}


async def put(shop: Shop, name: str) -> None:
    response = await shop.client.put(f"/overrides/{name}", json=PIN)
    assert response.status_code == 200, response.text


async def applied(shop: Shop) -> list[str]:
    body = (await shop.get("/search", q="tent", k=3)).json()
    assert (body["items"][0]["id"] == "item-9") is ("overrides" in body)
    return body.get("overrides", [])  # type: ignore[no-any-return]


async def reaches(shop: Shop, names: list[str]) -> float:
    """How long it takes until these apply, in seconds."""
    started = time.monotonic()

    async def do_apply() -> bool:
        return await applied(shop) == names

    await until(do_apply, pause=0.02)
    return time.monotonic() - started


async def test_every_server_and_a_restarted_one_applies_them(bundles: Path, redis_url: str) -> None:
    async with open_shop(bundles, redis_url) as one, open_shop(bundles, redis_url) as other:
        await put(one, "pin")
        assert await applied(one) == ["pin"], "at once"
        await reaches(other, ["pin"])
        await asyncio.gather(*(put(shop, f"also {n}") for n in range(6) for shop in (one, other)))
        names = [*(f"also {n}" for n in range(6)), "pin"]
        await reaches(one, names)
        await reaches(other, names)
    async with open_shop(bundles, redis_url) as again, open_shop(bundles, redis_url) as other:
        assert await applied(again) == names, "before it is ready"
        for name in names:
            assert (await other.client.delete(f"/overrides/{name}")).status_code == 200
        await reaches(again, [])


async def test_another_model_has_them_too(bundles: Path, redis_url: str) -> None:
    async with open_shop(bundles, redis_url) as shop:
        await put(shop, "pin")
        before = (await shop.get("/search", q="tent")).json()["model"]
        other = next(name for name in (await shop.get("/admin/models")).json()["versions"] if name != before)
        assert (await shop.client.post(f"/admin/models/{other}/activate")).status_code == 200
        assert (await shop.get("/search", q="tent")).json()["model"] == other
        assert await applied(shop) == ["pin"]


async def test_while_redis_is_away_they_hold_and_an_empty_one_is_told(
    bundles: Path, passing_redis: PassingRedis
) -> None:
    passing_redis.come()
    async with open_shop(bundles, passing_redis.url) as shop:
        await put(shop, "pin")
        passing_redis.go()
        assert await applied(shop) == ["pin"]
        assert_problem(await shop.client.put("/overrides/more", json=PIN), 503, "history_unavailable")
        assert_problem(await shop.client.delete("/overrides/pin"), 503, "history_unavailable")
        passing_redis.come("empty")
        async with open_shop(bundles, passing_redis.url) as other:
            await reaches(other, ["pin"])


async def test_they_are_written_only_over_those_that_were_read(redis_url: str) -> None:
    store, other = RedisOverrides(settings(redis_url)), RedisOverrides(settings(redis_url))
    assert await store.read() == StoredOverrides(0, {})
    assert await store.write({"sale": WHOLE}, expected=0, number=1)
    assert not await other.write({}, expected=0, number=1)
    assert await other.read() == StoredOverrides(1, {"sale": WHOLE})
    assert await other.number() == 1
    await store.close()
    await other.close()


async def test_lines_that_are_as_they_were_are_not_read_again(redis_url: str, raw: Redis) -> None:
    store, other = RedisOverrides(settings(redis_url)), RedisOverrides(settings(redis_url))
    entries = {name: replace(WHOLE, id=name) for name in ("a", "b", "c")}
    assert await store.write(entries, expected=0, number=1)
    first = await other.read()
    changed = {"a": entries["a"], "b": replace(entries["b"], priority=9)}
    assert await store.write(changed, expected=1, number=2)
    second = await other.read()
    assert (first.entries, second.entries) == (entries, changed)
    assert second.entries["a"] is first.entries["a"]
    await raw.hset(KEYS.overrides, "rules", (await raw.hget(KEYS.overrides, "rules")).replace(",\n", ", "))
    assert (await other.read()).entries == changed, "a list in one line, as other programs write it"
    await store.close()
    await other.close()


async def test_imports_at_two_servers_lose_nothing(redis_url: str) -> None:
    def sync() -> OverrideSync:
        return OverrideSync(OverrideReader(), RedisOverrides(settings(redis_url)), poll_seconds=0.02)

    one, other = sync(), sync()
    await one.start()
    await other.start()
    parts = [[replace(WHOLE, id=f"{part} {n}") for n in range(20)] for part in range(8)]
    written = await asyncio.gather(*((one, other)[n % 2].put_all(part) for n, part in enumerate(parts)))
    assert written == [["inserted"] * 20] * 8
    names = {entry.id for part in parts for entry in part}
    await until(lambda: one.entries.keys() == other.entries.keys() == names, pause=0.02)
    await one.stop()
    await other.stop()


@pytest.mark.parametrize("text", ["{", "{}", "[3]", '[{"id": "a"}]', '[{"id": "a", "rule": {"match": "like"}}]'])
async def test_what_another_program_wrote_is_not_taken_for_overrides(redis_url: str, raw: Redis, text: str) -> None:
    await raw.hset(KEYS.overrides, mapping={"number": 1, "rules": text})
    store = RedisOverrides(settings(redis_url))
    with pytest.raises(HistoryUnavailable, match="not as this server writes"):
        await store.read()
    await store.close()
