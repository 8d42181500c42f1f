"""Whoever follows the event log, in a real Redis."""

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from catalog.data.tombstones import digest_of
from server.storage.event_log import PIECE, RedisEventLog
from server.storage.protocol import Deed, LogBatch, LoggedEvent
from tests.support.redis_store import START, Connect, event, settings

pytestmark = pytest.mark.integration


@pytest.fixture
async def log(redis_url: str, raw: Redis) -> AsyncIterator[RedisEventLog]:
    followed = RedisEventLog(settings(redis_url))
    yield followed
    await followed.close()


async def all_since(log: RedisEventLog, batch: LogBatch, after: int) -> list[LoggedEvent]:
    events = []
    while True:
        position, batch = batch.position, await log.since(batch.position, after)
        events += batch.events
        if batch.position == position:
            return events


async def test_events_are_told_once_with_what_was_before(connect: Connect, log: RedisEventLog, raw: Redis) -> None:
    history, after = connect(), START + 2_500
    await history.append([event(1), event(2), event(3, query="tent"), event(4, user="bob")])
    batch = await log.begin(after, 6_400)
    assert set(batch.events) == {
        LoggedEvent(digest_of("ada"), "i3", "tent", (Deed("i1", None, "click"), Deed("i2", None, "click")), "click"),
        LoggedEvent(digest_of("bob"), "i4", None, type="click"),
    }
    nothing = await log.since(batch.position, after)
    assert (nothing.events, nothing.oldest) == ((), None)
    assert (first := batch.oldest) is not None
    await history.append([event(5, user="bob"), event(6), event(7, late_ms=6_000)])
    batch = await log.since(batch.position, after)
    assert {(e.user, e.item_id) for e in batch.events} == {(digest_of("bob"), "i5"), (digest_of("ada"), "i6")}
    seconds, microseconds = await raw.time()
    assert batch.oldest is not None
    assert first <= batch.oldest <= 1_000 * seconds + microseconds // 1_000
    assert (await log.since(batch.position, after)).events == ()


async def test_of_a_long_log_the_newest_are_told_and_then_all(connect: Connect, log: RedisEventLog) -> None:
    history = connect()
    await history.append([event(n) for n in range(30)])
    batch = await log.begin(0, 64 * 10)
    assert [e.item_id for e in batch.events] == [f"i{n}" for n in range(20, 30)]
    await history.append([event(n) for n in range(30, 40 + PIECE)])
    assert [e.item_id for e in await all_since(log, batch, 0)] == [f"i{n}" for n in range(30, 40 + PIECE)]


async def test_an_erasure_is_told_with_every_session_of_the_user(
    connect: Connect, log: RedisEventLog, raw: Redis
) -> None:
    history = connect()
    await history.append([event(1), event(2, user="visit"), event(3, user="bob")])
    await history.merge("ada", "visit")
    batch = await log.begin(0, 6_400)
    assert len(batch.events) == 3
    await history.erase("ada")
    batch = await log.since(batch.position, 0)
    assert set(batch.erased) == {digest_of("ada"), digest_of("visit")}
    assert batch.events == ()
    assert (await log.since(batch.position, 0)).erased == ()
    await history.append([event(9)])
    assert [e.item_id for e in (await log.since(batch.position, 0)).events] == ["i9"]
    begun = await log.begin(0, 6_400)
    assert [e.item_id for e in begun.events] == ["i3", "i9"]
    assert begun.erased == ()
