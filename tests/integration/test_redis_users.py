"""Sessions that become users', and users who are erased, in a real Redis."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisGone

from catalog.data.events import EventType
from catalog.data.tombstones import digest_of
from server.core.errors import HistoryUnavailable, SessionTaken
from server.storage.client import RedisClient
from server.storage.keyspace import KEYS, bucket_of
from server.storage.protocol import Event
from tests.support.redis_store import START, Connect, event, items_of, log_of

pytestmark = pytest.mark.integration


async def tombstone(raw: Redis, user: str) -> str | None:
    found: str | None = await raw.hget(KEYS.bucket_key("tombstones", bucket_of(user)), digest_of(user))
    return found


async def alias(raw: Redis, session: str) -> str | None:
    found: str | None = await raw.hget(KEYS.bucket_key("aliases", bucket_of(session)), session)
    return found


async def traces(raw: Redis, user: str) -> list[str]:
    """Keys and entries that still tell of a user, but for the tombstone."""
    keys = [key async for key in raw.scan_iter("*") if key.endswith(f":{user}")]
    return [*keys, *(fields["item_id"] for fields in await log_of(raw) if fields["user_id"] == user)]


@asynccontextmanager
async def broken_after(monkeypatch: pytest.MonkeyPatch, rounds: int) -> AsyncIterator[None]:
    """Redis goes away after so many round trips."""
    left = count(rounds, -1)
    with monkeypatch.context() as patch:
        for name in ("execute_command", "pipeline"):
            whole: Callable[..., object] = getattr(Redis, name)

            def fail(self: Redis, *arguments: object, whole: Callable[..., object] = whole, **named: object) -> object:
                if next(left) <= 0:
                    raise RedisGone("the test took it away")
                return whole(self, *arguments, **named)

            patch.setattr(Redis, name, fail)
        yield


async def test_the_past_is_told_newest_first(connect: Connect) -> None:
    history = connect()
    assert (await history.past_events("ada", 50)).events == ()
    await history.append([event(1), event(2, query="tent"), event(3, late_ms=10_000)])
    past = await history.past_events("ada", 2)
    assert past.total == 3
    assert [(e.item_id, e.query, e.type, e.timestamp, e.event_id) for e in past.events] == [
        ("i2", "tent", "click", START + 2_000, "e2"),
        ("i1", None, "click", START + 1_000, "e1"),
    ]


async def test_a_user_and_a_session_are_read_together_in_time_order(connect: Connect) -> None:
    history = connect()
    await history.append([event(n, user="visit" if n % 2 else "ada") for n in range(6)])
    await history.append([event(9, user="ada", item="i5"), event(10, user="visit", item="i5")])
    both = await history.read("ada", "visit")
    assert [item for item, _ in both.visits] == [*(f"i{n}" for n in range(6)), "i5", "i5"]
    assert both.runs == 7  # counted each by itself
    assert await history.read("ada", "nobody") == await history.read("ada", "ada") == await history.read("ada")
    assert await history.read("nobody", "visit") == await history.read("visit")


async def test_what_was_done_is_read_too(connect: Connect) -> None:
    history = connect()
    bought = Event("ada", "i1", START, EventType.PURCHASE, "b1")
    await history.append([bought, event(1, user="visit"), event(2, user="visit"), event(3)])
    assert (await history.read("ada")).types == ("purchase", "click")
    both = await history.read("ada", "visit")
    assert both.types == ("purchase", "click", "click", "click")
    assert both.latest_type("i1") == "click"
    assert (await history.read("ada")).latest_type("i1") == "purchase"


async def test_a_session_becomes_the_users(connect: Connect, raw: Redis) -> None:
    history = connect()
    await history.append([event(1), event(4), event(2, user="visit"), event(3, user="visit", query="rope")])
    assert await history.merge("ada", "visit") == 2
    assert (await history.read("ada")).visits == (("i1", None), ("i2", None), ("i3", "rope"), ("i4", None))
    assert (await history.read("visit")).visits == ()
    assert await history.merge("ada", "visit") == 0
    assert await items_of(history) == ["i1", "i2", "i3", "i4"]
    assert await alias(raw, "visit") == "ada"
    assert len(await log_of(raw)) == 4
    await history.append([event(5)])
    assert await items_of(history) == ["i1", "i2", "i3", "i4", "i5"]


async def test_the_history_of_a_merged_session_reads_as_if_it_had_been_the_users(connect: Connect) -> None:
    history = connect()
    items = ["a", "a", "b", "b", "a"]
    await history.append([event(n, user="visit", item=item) for n, item in enumerate(items)])
    before = await history.read("visit")
    await history.merge("ada", "visit")
    assert await history.read("ada") == before


async def test_no_event_is_counted_twice_across_a_merge(connect: Connect) -> None:
    history = connect()
    await history.append([event(1, user="visit"), event(2, user="visit"), event(2)])
    assert await history.merge("ada", "visit") == 1
    assert await history.append([event(1), event(2), event(1, user="visit"), event(3)]) == [False, False, False, True]
    assert await items_of(history) == ["i1", "i2", "i3"]


async def test_a_session_that_goes_on_is_merged_again(connect: Connect) -> None:
    history = connect()
    await history.append([event(1, user="visit")])
    await history.merge("ada", "visit")
    await history.append([event(2, user="visit")])
    assert await items_of(history, "visit") == ["i2"]
    assert [item for item, _ in (await history.read("ada", "visit")).visits] == ["i1", "i2"]
    assert await history.merge("ada", "visit") == 1
    assert await items_of(history) == ["i1", "i2"]


async def test_a_session_has_one_user(connect: Connect, raw: Redis) -> None:
    history = connect()
    await history.append([event(1, user="visit")])
    await history.merge("ada", "visit")
    with pytest.raises(SessionTaken, match="belongs to another user"):
        await history.merge("bob", "visit")
    with pytest.raises(SessionTaken, match="other way round"):
        await history.merge("visit", "ada")
    assert await raw.exists(KEYS.user_key("sessions", "bob")) == 0
    assert await items_of(history, "bob") == []


async def test_a_merged_history_keeps_its_bounds_and_lifetimes(connect: Connect, raw: Redis) -> None:
    history = connect(history_length=5, event_ids=4)
    await history.append([event(n) for n in range(4)])
    await history.append([event(n, user="visit") for n in range(2, 9)])
    await history.merge("ada", "visit")
    assert await items_of(history) == ["i4", "i5", "i6", "i7", "i8"]
    assert await raw.zcard(KEYS.user_key("event_ids", "ada")) == 4
    assert all([await raw.pttl(KEYS.user_key(kind, "ada")) > 0 for kind in ("history", "runs", "event_ids")])


async def test_merging_an_empty_session_leaves_no_keys_without_an_end(connect: Connect, raw: Redis) -> None:
    assert await connect().merge("ada", "visit") == 0
    kept = {KEYS.bucket_key("aliases", bucket_of("visit")), KEYS.user_key("sessions", "ada"), KEYS.buckets_number}
    assert set(await raw.keys("*")) == kept


@pytest.mark.parametrize("rounds", range(5))
async def test_a_merge_that_was_broken_off_is_completed_by_repeating_it(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, rounds: int
) -> None:
    history = connect()
    await history.append([event(1), event(2, user="visit"), event(3, user="visit")])
    async with broken_after(monkeypatch, rounds):
        with pytest.raises(HistoryUnavailable):
            await history.merge("ada", "visit")
    both = await history.read("ada", "visit")
    assert [item for item, _ in both.visits] == ["i1", "i2", "i3"]  # at every moment
    await history.merge("ada", "visit")
    assert await items_of(history) == ["i1", "i2", "i3"]
    assert await items_of(history, "visit") == []


async def test_merges_at_once_move_every_event_once(connect: Connect) -> None:
    writers = [connect() for _ in range(4)]
    await writers[0].append([event(n, user="visit") for n in range(40)])
    await asyncio.gather(*(writer.merge("ada", "visit") for writer in writers))
    assert await items_of(writers[0]) == [f"i{n}" for n in range(40)]


async def test_an_erased_user_leaves_nothing_but_a_tombstone(connect: Connect, raw: Redis) -> None:
    history = connect()
    await history.append([event(1), event(2), event(3, user="bob")])
    assert await history.erase("ada") == 2
    assert await traces(raw, "ada") == []
    assert await tombstone(raw, "ada") is not None
    assert await tombstone(raw, "bob") is None
    assert await items_of(history, "bob") == ["i3"]
    assert await history.erase("ada") == 0


async def test_sessions_of_an_erased_user_are_erased_and_those_of_sessions(connect: Connect, raw: Redis) -> None:
    history = connect()
    await history.append([event(n, user=user) for n, user in enumerate(["ada", "visit", "phone", "bob"])])
    await history.merge("visit", "phone")
    await history.merge("ada", "visit")
    await history.append([event(7, user="phone")])
    assert await history.erase("ada") == 4
    for user in ("ada", "visit", "phone"):
        assert await traces(raw, user) == []
        assert await alias(raw, user) is None
        assert await tombstone(raw, user) is not None
    assert await items_of(history, "bob") == ["i3"]
    assert await history.merge("bob", "visit") == 0  # the session id is free again


async def test_events_that_are_no_longer_in_the_log_are_counted_by_the_history_and_the_other_way_round(
    connect: Connect, raw: Redis
) -> None:
    history = connect(history_length=2)
    await history.append([event(n) for n in range(4)])
    log = KEYS.bucket_key("log", bucket_of("ada"))
    await raw.xdel(log, (await raw.xrange(log))[-1][0])
    assert await history.erase("ada") == 4


async def test_who_comes_back_after_an_erasure_starts_anew(connect: Connect, raw: Redis) -> None:
    history = connect()
    await history.append([event(1)])
    await history.erase("ada")
    assert await history.append([event(1), event(2)]) == [True, True]
    assert await items_of(history) == ["i1", "i2"]
    ((entry, _), *_) = await raw.xrange(KEYS.bucket_key("log", bucket_of("ada")))
    assert int(entry.split("-")[0]) > int(await tombstone(raw, "ada") or 0)


async def test_a_session_may_be_erased_by_itself(connect: Connect, raw: Redis) -> None:
    history = connect()
    await history.append([event(1), event(2, user="visit")])
    await history.merge("ada", "visit")
    assert await history.erase("visit") == 1
    assert await traces(raw, "visit") == []
    assert await alias(raw, "visit") is None
    assert not await raw.exists(KEYS.user_key("sessions", "ada"))


async def test_a_long_log_is_cleared_in_pieces(connect: Connect, raw: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.storage.erase_user.BATCH", 10)
    same_bucket = next(f"u{n}" for n in range(1_000) if bucket_of(f"u{n}") == bucket_of("ada"))
    history = connect(history_length=1)
    await history.append([event(n, user=same_bucket if n % 3 else "ada") for n in range(100)])
    assert await history.erase("ada") == 34
    assert [fields["user_id"] for fields in await log_of(raw)] == [same_bucket] * 66


@pytest.mark.parametrize("rounds", range(1, 9))
async def test_an_erasure_that_was_broken_off_is_completed_by_repeating_it(
    connect: Connect, raw: Redis, monkeypatch: pytest.MonkeyPatch, rounds: int
) -> None:
    history = connect()
    await history.append([event(1), event(2, user="visit")])
    await history.merge("ada", "visit")
    async with broken_after(monkeypatch, rounds):
        with pytest.raises(HistoryUnavailable):
            await history.erase("ada")
    assert await tombstone(raw, "ada") is not None  # from the first step on
    await history.erase("ada")
    for user in ("ada", "visit"):
        assert await traces(raw, user) == []
        assert await alias(raw, user) is None


async def test_an_erasure_in_the_middle_of_a_merge_takes_the_session_along(
    connect: Connect, raw: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = connect()
    await history.append([event(1), event(2, user="visit")])
    run, erased = RedisClient.run, False

    async def erase_first(self: RedisClient, script: object, *arguments: object) -> object:
        nonlocal erased
        if not erased and "SISMEMBER" in script.text:  # type: ignore[attr-defined]
            erased = True
            await connect().erase("ada")
        return await run(self, script, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(RedisClient, "run", erase_first)
    assert await history.merge("ada", "visit") == 0
    assert await items_of(history) == []
    assert await log_of(raw) == []


async def test_events_recorded_during_an_erasure_are_kept_or_gone_as_a_whole(connect: Connect, raw: Redis) -> None:
    writers = [connect() for _ in range(2)]

    async def write() -> None:
        for number in range(300):
            await writers[0].append([event(number)])

    writing = asyncio.create_task(write())
    for _ in range(5):
        await asyncio.sleep(0.01)
        await writers[1].erase("ada")
    await writing
    kept = [fields["item_id"] for fields in await log_of(raw)]
    assert await items_of(writers[0]) == kept[-200:]
    assert kept == [f"i{n}" for n in range(300 - len(kept), 300)]
