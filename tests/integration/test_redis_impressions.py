"""Impressions in a real Redis: which of them count, and that they count live as training reads them of the log."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from catalog.data.events import EventType
from catalog.priors.live.shown import MAX_IMPRESSIONS, NOTHING_SHOWN, Shown, shown
from server.core.errors import HistoryUnavailable
from server.storage.keyspace import KEYS
from server.storage.protocol import Event, Impression
from server.storage.redis_history import RedisHistory
from tests.support.redis_store import START, Connect, event, log_of
from tests.support.redis_store import settings as storage
from trainer.data.impressions import Impressions

pytestmark = pytest.mark.integration

KEY = KEYS.user_key("shown", "ada")
IDS = ("x", "tent/2 person", "κανό", 'a "b"\\c', " 1 y")


def seen(number: int, item: str, **changes: object) -> Event:
    return replace(event(number, item=item, **changes), type=EventType.IMPRESSION, event_id=f"s{number}")  # type: ignore[arg-type]


def at(number: int, item: str) -> Impression:
    return Impression(item, START + 1_000 * number)


async def left(history: RedisHistory, *who: str) -> list[Impression]:
    return list((await history.read(*who or ("ada",))).impressions)


@pytest.mark.parametrize("item", IDS)
async def test_an_item_that_is_taken_begins_anew_whatever_its_id(connect: Connect, item: str) -> None:
    history = connect()
    await history.append([seen(1, item), seen(2, "z"), seen(3, item), seen(3, item)])
    assert await left(history) == [at(1, item), at(2, "z"), at(3, item)]
    await history.append([event(5, item=item), seen(6, item), replace(event(7, item="z"), type=EventType.DISLIKE)])
    assert await left(history) == [at(2, "z"), at(6, item)]
    late = replace(seen(4, item), event_id="late")
    same_moment = replace(seen(5, item), event_id="same")
    await history.append([late, same_moment])
    assert await left(history) == [at(2, "z"), at(6, item)], "it was taken since"
    await history.append([replace(event(2, item="z"), event_id="before")])
    assert await left(history) == [at(6, item)], "taken at the moment at which it was shown"


async def test_a_million_impressions_would_take_no_more_room(connect: Connect, raw: Redis) -> None:
    history = connect()
    await history.append([seen(n, f"item-{n % 700}") for n in range(2_000)])
    kept = await left(history)
    assert kept == [at(n, f"item-{n % 700}") for n in range(2_000 - MAX_IMPRESSIONS, 2_000)]
    assert await raw.memory_usage(KEY) < 10_000
    assert await raw.object("encoding", KEY) == "listpack"
    await history.append([replace(seen(3, "old"), event_id="old")])
    assert await left(history) == kept
    assert await raw.pexpiretime(KEY) > START


async def test_sessions_bring_theirs_along_and_erased_users_none(connect: Connect, raw: Redis) -> None:
    history = connect()
    await history.append([event(3, item="x"), seen(4, "y"), event(9, item="u")])
    visit = [seen(1, "x"), seen(2, "y"), seen(5, "x"), event(6, item="y"), seen(8, "u"), seen(7, "z")]
    await history.append([replace(one, user_id="visit", event_id=f"v{n}") for n, one in enumerate(visit)])
    expected = [at(5, "x"), at(7, "z")]
    assert await left(history, "ada", "visit") == expected
    assert await left(history, "nobody", "visit") == [at(1, "x"), *expected, at(8, "u")]
    for _ in range(2):
        await history.merge("ada", "visit")
        assert await left(history) == expected
        assert await raw.exists(KEYS.user_key("shown", "visit")) == 0
    await history.append([replace(seen(20, "z"), user_id="visit")])
    await history.erase("ada")
    assert await left(history, "ada", "visit") == []
    assert await raw.keys("*shown*") == []
    assert await log_of(raw) == []


async def test_impressions_of_a_stranger_hand_are_named(connect: Connect, raw: Redis) -> None:
    await raw.zadd(KEY, {"tent": 1})
    with pytest.raises(HistoryUnavailable, match="impressions in Redis are not as this server writes them"):
        await connect().read("ada")


EVENTS = st.lists(
    st.tuples(st.sampled_from(["ada", "visit"]), st.sampled_from("xyz"), st.integers(0, 5), st.sampled_from(EventType)),
    max_size=16,
)
DAY = 86_400_000
LOGGED = pa.schema({"type": pa.string(), "request_id": pa.string()})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=15)
@given(EVENTS, st.booleans())
async def test_what_counts_live_is_what_training_reads_of_the_log(
    redis_url: str, raw: Redis, rows: list[tuple[str, str, int, EventType]], merged: bool
) -> None:
    """Whatever comes in whatever order, and after a merge."""
    await raw.flushdb()
    history, now = RedisHistory(storage(redis_url)), START + 6 * DAY
    events = [
        Event(user, item, START + day * DAY, kind, f"e{number}", request_id=f"r{number}")
        for number, (user, item, day, kind) in enumerate(rows)
    ]
    try:
        await history.append(events)
        if merged:
            await history.merge("ada", "visit")
        for user in ("ada",) if merged else ("ada", "visit"):
            read = (await history.read(user)).impressions
            live = shown(*(np.array(part, np.int64) for part in _columns(read)), now)
            logged = [row for row in await log_of(raw) if row["user_id"] == user or merged]
            fitted = _fitted(logged, now)
            assert live.item_S.tolist() == fitted.item_S.tolist()
            np.testing.assert_array_equal(live.value_S, fitted.value_S)
    finally:
        await history.close()


def _columns(impressions: tuple[Impression, ...]) -> tuple[list[int], list[int]]:
    return ["xyz".index(one.item_id) for one in impressions], [one.timestamp for one in impressions]


def _fitted(rows: list[dict[str, str]], now: int) -> Shown:
    """As of a question that is asked now, of a user with all these events."""
    table = pa.table({name: [row[name] for row in rows] for name in ("type", "request_id")}, LOGGED)
    table = table.append_column("timestamp", pa.array([int(row["timestamp"]) for row in rows], pa.int64()))
    item_E = np.array(["xyz".index(row["item_id"]) for row in rows], np.int64)
    impressions = Impressions.of(table, np.zeros(len(rows), np.int64), item_E, 1)
    return NOTHING_SHOWN if impressions is None else impressions.before(0, -1, now, known_until=now)
