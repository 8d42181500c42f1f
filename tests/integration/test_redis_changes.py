"""Changes of the catalog in a real Redis."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from catalog.data.changes import Delete, Upsert
from server.core.errors import HistoryUnavailable
from server.storage.keyspace import KEYS
from server.storage.managed_redis import free_port
from server.storage.protocol import ChangeBatch
from server.storage.shared.change_log import RedisChanges
from tests.support.redis_store import settings

pytestmark = pytest.mark.integration

RECORD = {"item_id": "tent/1", "title": "Zelt für 2", "price": 12.5, "categories": ["a", None], "available": None}


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[RedisChanges]:
    changes = RedisChanges(settings(redis_url))
    yield changes
    await changes.close()


async def test_nothing_was_ever_changed(store: RedisChanges) -> None:
    assert await store.since(0) == ChangeBatch(0, {})


async def test_what_was_written_is_read(store: RedisChanges) -> None:
    assert await store.write({"tent/1": Upsert(RECORD), "b": Delete("b")}, expected=0, number=1)
    assert await store.since(0) == ChangeBatch(1, {"tent/1": Upsert(RECORD), "b": Delete("b")})
    assert await store.write({"b": Upsert({"item_id": "b"})}, expected=1, number=2)
    assert await store.since(1) == ChangeBatch(2, {"b": Upsert({"item_id": "b"})})
    assert list((await store.since(0)).changes) == ["tent/1", "b"]
    assert await store.since(2) == ChangeBatch(2, {})


async def test_only_the_next_change_is_written(store: RedisChanges, raw: Redis) -> None:
    written = await asyncio.gather(*(store.write({f"i{n}": Delete(f"i{n}")}, expected=0, number=1) for n in range(20)))
    assert sorted(written) == [False] * 19 + [True]
    assert len((await store.since(0)).changes) == 1
    assert await raw.hlen(KEYS.changes) == 1


async def test_what_is_kept_is_bounded_by_the_items(store: RedisChanges, raw: Redis) -> None:
    for n in range(30):
        assert await store.write({f"i{n % 3}": Delete(f"i{n % 3}")}, expected=n, number=n + 1)
    assert await raw.hlen(KEYS.changes) == 3
    assert await raw.dbsize() == 3


async def test_many_changes_are_read_page_by_page(store: RedisChanges, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.storage.shared.change_log.PAGE", 10)
    for n in range(12):
        rows = {f"{n}-{i}": Delete(f"{n}-{i}") for i in range(n % 9 + 1)}
        assert await store.write(rows, expected=n, number=n + 1)
    found = await store.since(0)
    assert found.number == 12
    assert set(found.changes) == {f"{n}-{i}" for n in range(12) for i in range(n % 9 + 1)}
    assert set((await store.since(10)).changes) == {"10-0", "10-1", "11-0", "11-1", "11-2"}


async def test_a_redis_that_forgot_its_scripts_or_everything(store: RedisChanges, raw: Redis) -> None:
    await store.write({"a": Delete("a")}, expected=0, number=1)
    await raw.script_flush()
    assert (await store.since(0)).number == 1
    await raw.flushall()
    assert await store.since(1) == ChangeBatch(0, {})
    assert not await store.write({"a": Delete("a")}, expected=1, number=2)


async def test_what_another_program_wrote_is_told(store: RedisChanges, raw: Redis) -> None:
    await store.write({"a": Delete("a")}, expected=0, number=1)
    await raw.hset(KEYS.changes, "a", "of another kind")
    with pytest.raises(HistoryUnavailable, match="not as this server writes it"):
        await store.since(0)


async def test_no_redis() -> None:
    away = RedisChanges(settings(f"redis://127.0.0.1:{free_port()}/0"))
    with pytest.raises(HistoryUnavailable):
        await away.since(0)
    with pytest.raises(HistoryUnavailable):
        await away.write({"a": Delete("a")}, expected=0, number=1)
    await away.close()
