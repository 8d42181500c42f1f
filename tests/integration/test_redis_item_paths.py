"""The paths of new items in a real Redis."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from catalog.data.changes import Delete
from server.core.errors import HistoryUnavailable
from server.storage.keyspace import KEYS, PATH_DAYS
from server.storage.protocol import ChangeBatch, PathClaim
from server.storage.shared.change_log import RedisChanges
from tests.support.redis_store import settings

pytestmark = pytest.mark.integration

VERSION = "2025-11-20-a"


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[RedisChanges]:
    changes = RedisChanges(settings(redis_url))
    yield changes
    await changes.close()


async def test_the_first_claim_stays(store: RedisChanges) -> None:
    assert await store.claim(VERSION, {"a": (1, 2), "zelt/1": (0, 27)}) == PathClaim(
        {"a": (1, 2), "zelt/1": (0, 27)}, frozenset()
    )
    second = await store.claim(VERSION, {"a": (3, 3), "b": (0, 27), "c": (3, 3)})
    assert second == PathClaim({"a": (1, 2), "c": (3, 3)}, frozenset({(0, 27)}))
    assert await store.paths(VERSION, ["c", "b", "a"]) == {"a": (1, 2), "c": (3, 3)}
    assert await store.paths("another", ["a"]) == {}
    assert await store.paths(VERSION, []) == {}


async def test_of_many_at_once_one_gets_a_path(store: RedisChanges) -> None:
    claims = await asyncio.gather(*(store.claim(VERSION, {f"item-{n}": (1, 1)}) for n in range(20)))
    assert sorted(len(claim.of) for claim in claims) == [0] * 19 + [1]


async def test_many_are_claimed_and_read_page_by_page(store: RedisChanges, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.storage.shared.paths.PAGE", 3)
    paths = {f"item-{n}": (n, 0) for n in range(10)}
    assert (await store.claim(VERSION, paths)).of == paths
    assert await store.paths(VERSION, list(paths)) == paths


async def test_they_are_kept_as_long_as_somebody_serves_the_bundle(store: RedisChanges, raw: Redis) -> None:
    await store.claim(VERSION, {"a": (1, 2)})
    for key in (KEYS.paths(VERSION), KEYS.path_items(VERSION)):
        await raw.expire(key, 10)
    await store.claim(VERSION, {})
    for key in (KEYS.paths(VERSION), KEYS.path_items(VERSION)):
        assert await raw.ttl(key) > (PATH_DAYS - 1) * 86_400


async def test_what_another_program_wrote_is_told(store: RedisChanges, raw: Redis) -> None:
    await raw.hset(KEYS.paths(VERSION), "a", "of another kind")
    with pytest.raises(HistoryUnavailable, match="not as this server writes it"):
        await store.paths(VERSION, ["a"])


async def test_a_deletion_keeps_the_last_record(store: RedisChanges) -> None:
    deleted = Delete("a", {"item_id": "a", "title": "lamp"})
    await store.write({"a": deleted}, expected=0, number=1)
    assert await store.since(0) == ChangeBatch(1, {"a": deleted})
