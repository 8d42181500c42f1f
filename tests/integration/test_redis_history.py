"""Histories and the event log in a real Redis."""

import asyncio
import time
from dataclasses import replace

import pytest
from redis.asyncio import Redis

from catalog.data.events import EventType
from server.core.errors import HistoryUnavailable
from server.storage.keyspace import BUCKETS, KEYS, bucket_of
from server.storage.protocol import EMPTY, Event
from server.storage.redis_history import RedisHistory, durability_warnings
from tests.support.redis_store import START, Connect, event, items_of, log_of

pytestmark = pytest.mark.integration


async def test_what_was_written_is_read_in_order(connect: Connect) -> None:
    history = connect()
    assert await history.read("ada") == EMPTY
    assert await history.append([event(1), event(2, query="two-person tent")]) == [True, True]
    read = await history.read("ada")
    assert read.visits == (("i1", None), ("i2", "two-person tent"))
    assert read.runs == 2


async def test_every_field_is_in_the_log(connect: Connect, raw: Redis) -> None:
    await connect().append([Event("ada/1", "i{2}", START, EventType.PURCHASE, "e:3", "Zelt für 2", "r4", 0.1)])
    assert await log_of(raw) == [
        {
            "user_id": "ada/1",
            "item_id": "i{2}",
            "timestamp": str(START),
            "type": "purchase",
            "query": "Zelt für 2",
            "event_id": "e:3",
            "request_id": "r4",
            "value": "0.1",
        }
    ]


async def test_values_come_back_to_the_last_bit(connect: Connect) -> None:
    history = connect()
    values = [1 / 3, -1e300, 5e-324, 123456789012345.67, None]
    await history.append([replace(event(n), value=value) for n, value in enumerate(values)])
    assert (await history.read("ada")).values == tuple(values)
    assert [past.value for past in (await history.past_events("ada", 9)).events] == values[::-1]


async def test_members_without_a_value_are_read_as_before(connect: Connect, raw: Redis) -> None:
    await raw.zadd(KEYS.user_key("history", "ada"), {'0000000001["i1","rope","view","e1"]': START})
    read = await connect().read("ada")
    assert (read.visits, read.types, read.values) == ((("i1", "rope"),), ("view",), (None,))


async def test_impressions_are_in_the_log_alone(connect: Connect, raw: Redis) -> None:
    history = connect(history_length=2)
    shown = [replace(event(n), type=EventType.IMPRESSION) for n in range(3, 9)]
    assert await history.append([event(1), event(2), *shown, shown[0]]) == [True] * 8 + [False]
    assert await items_of(history) == ["i1", "i2"]
    assert (await history.past_events("ada", 9)).total == 2
    assert [entry["type"] for entry in await log_of(raw)].count("impression") == 6


async def test_a_dislike_takes_out_what_was_before_it_and_not_what_comes_after(connect: Connect) -> None:
    history = connect()
    disliked = replace(event(3, item="i1"), type=EventType.DISLIKE)
    await history.append([event(1), event(2), disliked, event(4)])
    read = await history.read("ada")
    assert ([item for item, _ in read.visits], read.disliked, read.runs) == (["i2", "i4"], {"i1"}, 3)
    assert [past.type for past in (await history.past_events("ada", 9)).events][1] == "dislike"
    await history.append([event(5, item="i1"), event(6, item="i1", late_ms=5_500)])
    read = await history.read("ada")
    assert ([item for item, _ in read.visits], read.disliked) == (["i2", "i4", "i1"], frozenset())


async def test_an_event_id_is_counted_once(connect: Connect, raw: Redis) -> None:
    history = connect()
    assert await history.append([event(1), event(1)]) == [True, False]
    assert await history.append([event(2), replace(event(1), item_id="other")]) == [True, False]
    assert await items_of(history) == ["i1", "i2"]
    assert len(await log_of(raw)) == 2


async def test_another_users_event_may_have_the_same_id(connect: Connect) -> None:
    assert await connect().append([event(1), event(1, user="bob")]) == [True, True]


async def test_late_events_go_where_their_time_belongs(connect: Connect, raw: Redis) -> None:
    history = connect()
    await history.append([event(1), event(2), event(3, late_ms=1_500), event(4, late_ms=60_000)])
    assert await items_of(history) == ["i4", "i1", "i3", "i2"]
    assert [fields["item_id"] for fields in await log_of(raw)] == ["i1", "i2", "i3", "i4"]


async def test_events_of_one_moment_stay_in_order_of_arrival(connect: Connect) -> None:
    history = connect()
    for number in range(30):
        await history.append([replace(event(number), timestamp=START, item_id=f"i{30 - number}")])
    assert await items_of(history) == [f"i{30 - number}" for number in range(30)]


async def test_runs_count_what_a_prompt_shows(connect: Connect) -> None:
    history = connect()
    items = ["a", "a", "b", "b", "b", "a"]
    await history.append([event(number, item=item) for number, item in enumerate(items)])
    assert (await history.read("ada")).runs == 3
    await history.append([event(7, item="a", query="tent"), event(8, item="a", query="tent"), event(9, item="a")])
    assert (await history.read("ada")).runs == 5


async def test_a_history_is_bounded_and_its_runs_go_on(connect: Connect, raw: Redis) -> None:
    history = connect(history_length=5)
    await history.append([event(number) for number in range(12)])
    assert await items_of(history) == ["i7", "i8", "i9", "i10", "i11"]
    assert (await history.read("ada")).runs == 12
    assert await raw.zcard(KEYS.user_key("history", "ada")) == 5
    assert len(await log_of(raw)) == 12


async def test_an_event_older_than_all_that_is_kept_is_only_logged(connect: Connect, raw: Redis) -> None:
    history = connect(history_length=3)
    await history.append([event(number) for number in range(3)])
    assert await history.append([event(9, late_ms=10**9)]) == [True]
    assert await items_of(history) == ["i0", "i1", "i2"]
    assert len(await log_of(raw)) == 4


async def test_remembered_event_ids_are_bounded(connect: Connect, raw: Redis) -> None:
    history = connect(event_ids=5)
    await history.append([event(number) for number in range(12)])
    assert await raw.zcard(KEYS.user_key("event_ids", "ada")) == 5
    assert await history.append([event(11), event(7), event(0)]) == [False, False, True]


async def test_event_ids_are_forgotten_after_their_time(
    connect: Connect, raw: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = connect(event_id_days=1)
    await history.append([event(1)])
    key = KEYS.user_key("event_ids", "ada")
    await raw.zincrby(key, -86_400_001, "e1")
    await history.append([event(2)])
    assert await raw.zrange(key, 0, -1) == ["e2"]


async def test_every_key_has_a_bound_and_a_lifetime(connect: Connect, raw: Redis) -> None:
    await connect(history_days=2, event_id_days=1).append([event(1)])
    day = 86_400_000
    lifetimes = {key: await raw.pttl(key) for key in await raw.keys("*")}
    assert set(lifetimes) == {
        KEYS.user_key("history", "ada"),
        KEYS.user_key("runs", "ada"),
        KEYS.user_key("event_ids", "ada"),
        KEYS.bucket_key("log", bucket_of("ada")),
        KEYS.buckets_number,
    }
    assert 2 * day - 60_000 < lifetimes[KEYS.user_key("history", "ada")] <= 2 * day
    assert 2 * day - 60_000 < lifetimes[KEYS.user_key("runs", "ada")] <= 2 * day
    assert day - 60_000 < lifetimes[KEYS.user_key("event_ids", "ada")] <= day
    assert lifetimes[KEYS.bucket_key("log", bucket_of("ada"))] == -1


async def test_the_log_is_bounded(connect: Connect, raw: Redis) -> None:
    history = connect(event_log_length=BUCKETS * 100)
    for batch in range(3):
        await history.append([event(1_000 * batch + number) for number in range(1_000)])
    assert (
        100 <= await raw.xlen(KEYS.bucket_key("log", bucket_of("ada"))) <= 300
    )  # "~": Redis drops whole nodes of about a hundred


HOSTILE = [
    "{07}",
    "}{",
    "ada:history",
    "history:ada",
    "*",
    "a b",
    "a%20b",
    "a\tb",
    "ada\x00",
    "Ω",
    "ω",
    "a/b",
    "%",
    "ada}",
]


async def test_hostile_users_do_not_meet(connect: Connect, raw: Redis) -> None:
    history = connect()
    for number, user in enumerate(HOSTILE):
        await history.append([event(number, user=user)])
    for number, user in enumerate(HOSTILE):
        assert await items_of(history, user) == [f"i{number}"]
    assert len(await raw.keys("gemserve:*:history:*")) == len(HOSTILE)


async def test_hostile_items_and_queries_come_back_as_they_were(connect: Connect) -> None:
    texts = ['"]', "\\", "/", "0000000001", "\u2028", "'", "\U0001f3d5", "null", "["]
    history = connect()
    events = [event(n, item=text, query=text) for n, text in enumerate(texts)]
    await history.append(events)
    assert (await history.read("ada")).visits == tuple((text, text) for text in texts)


async def test_writers_at_once_lose_and_repeat_nothing(connect: Connect, raw: Redis) -> None:
    """Eight writers send the same hundred events, half of each other's, in different orders."""
    writers = [connect(history_length=200) for _ in range(8)]

    async def write(writer: RedisHistory, shift: int) -> int:
        numbers = [(number * 7 + shift) % 100 for number in range(100)]
        return sum([(await writer.append([event(number)]))[0] for number in numbers])

    assert sum(await asyncio.gather(*(write(w, 13 * n) for n, w in enumerate(writers)))) == 100
    read = await writers[0].read("ada")
    assert [item for item, _ in read.visits] == [f"i{number}" for number in range(100)]
    assert read.runs == 100
    assert len(await log_of(raw)) == 100


async def test_the_script_is_loaded_again_when_redis_forgot_it(connect: Connect, raw: Redis) -> None:
    history = connect()
    await history.append([event(1)])
    await raw.script_flush()
    assert await history.append([event(1), event(2)]) == [False, True]


async def test_a_write_that_redis_cannot_finish_is_not_remembered_as_done(connect: Connect, raw: Redis) -> None:
    """The event id is recorded last: an attempt that failed half-way does not turn its repetition into a duplicate."""
    await raw.set(KEYS.user_key("history", "ada"), "of another type")
    history = connect()
    with pytest.raises(HistoryUnavailable, match="WRONGTYPE"):
        await history.append([event(1)])
    await raw.delete(KEYS.user_key("history", "ada"))
    assert await history.append([event(1)]) == [True]
    assert await items_of(history) == ["i1"]


async def test_a_busy_event_loop_does_not_blame_redis(connect: Connect) -> None:
    history = connect(read_timeout_ms=100)
    await history.append([event(1)])
    await history.read("ada")  # so that the connection is there
    read = asyncio.create_task(history.read("ada"))
    while not read.done():
        await asyncio.sleep(0)
        time.sleep(0.15)
    assert read.result().runs == 1


async def test_users_spread_over_all_buckets() -> None:
    assert {bucket_of(f"user-{number}") for number in range(2_000)} == set(range(BUCKETS))


async def test_our_own_redis_keeps_events_and_a_careless_one_is_told(connect: Connect, raw: Redis) -> None:
    assert await connect().warnings() == []
    careless = {"appendonly": "no", "appendfsync": "everysec", "maxmemory-policy": "allkeys-lru"}
    assert len(durability_warnings(careless)) == 2
    assert len(durability_warnings({"appendonly": "yes", "appendfsync": "no"})) == 1
    for mode, told in {"yes": 1, "no": 0}.items():
        assert len(durability_warnings({"cluster-enabled": mode, "cluster-require-full-coverage": "yes"})) == told
    assert durability_warnings({}) == []
