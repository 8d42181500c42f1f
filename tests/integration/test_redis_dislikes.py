"""Dislikes in a real Redis: what they take out of histories, and that nothing but a later choice ends them."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from catalog.data.event_weights import EventWeights
from catalog.data.events import EventType
from server.storage.keyspace import KEYS
from server.storage.protocol import Event
from server.storage.redis_history import RedisHistory
from tests.support.memory_history import MemoryHistory
from tests.support.redis_store import START, Connect, event, items_of
from tests.support.redis_store import settings as storage

pytestmark = pytest.mark.integration

DISLIKE = EventType.DISLIKE


def disliked(number: int, item: str, **changes: object) -> Event:
    return replace(event(number, item=item, **changes), type=DISLIKE)  # type: ignore[arg-type]


async def test_no_number_of_later_events_pushes_a_dislike_out(connect: Connect, raw: Redis) -> None:
    history = connect(history_length=3)
    await history.append([event(1, item="x"), disliked(2, "x"), *(event(n) for n in range(3, 20))])
    read = await history.read("ada")
    assert (read.disliked, [item for item, _ in read.visits]) == ({"x"}, ["i17", "i18", "i19"])
    ends = [await raw.pexpiretime(KEYS.user_key(kind, "ada")) for kind in ("dislikes", "history")]  # type: ignore[arg-type]
    assert ends[0] == ends[1] > START
    late = event(30, item="x", late_ms=29_500)  # from before the dislike
    await history.append([late, replace(event(31, item="x"), type=EventType.IMPRESSION)])
    assert (await history.read("ada")).disliked == {"x"}
    await history.append([event(32, item="x"), *(event(n) for n in range(33, 40))])
    assert (await history.read("ada")).disliked == frozenset()


async def test_a_dislike_that_comes_late_is_no_longer_one(connect: Connect) -> None:
    history = connect()
    await history.append([event(5, item="x"), disliked(6, "x", late_ms=2_000)])
    read = await history.read("ada")
    assert (read.disliked, await items_of(history)) == (frozenset(), ["x"])


async def test_a_low_rating_ends_no_dislike_and_is_in_no_prompt(connect: Connect) -> None:
    history = connect(history_length=4)
    low, high = (replace(event(n, item="x"), type=EventType.RATING, value=stars) for n, stars in ((3, 1.0), (4, 5.0)))
    weights = EventWeights(positive_rating=3.0)
    await history.append([event(1), disliked(2, "x"), low])
    read = (await history.read("ada")).weighed(weights)
    assert (read.disliked, read.visits, read.items_of({"rating"})) == ({"x"}, (("i1", None),), {"x"})
    assert (await history.read("ada")).disliked == frozenset()  # where every rating is positive
    await history.append([high])
    read = (await history.read("ada")).weighed(weights)
    assert (read.disliked, read.visits, read.values) == (frozenset(), (("i1", None), ("x", None)), (None, 5.0))


async def test_a_type_that_weighs_nothing_is_kept_and_in_no_prompt(connect: Connect) -> None:
    history = connect()
    seen = replace(event(3, item="y"), type=EventType.VIEW)
    await history.append([event(1), disliked(2, "x"), seen, replace(event(4, item="x"), type=EventType.VIEW)])
    read = (await history.read("ada")).weighed(EventWeights({"view": 0.0}))
    assert (read.disliked, read.visits, read.items_of({"view"})) == ({"x"}, (("i1", None),), {"x", "y"})
    assert read.weighed(EventWeights({"view": 2.0})) is read, "no weight of these ignores any"


async def test_a_merge_takes_dislikes_along(connect: Connect, raw: Redis) -> None:
    """Those too whose events were pushed out of the session's history: nothing of before them counts."""
    history = connect(history_length=4)
    await history.append([event(1, item="x"), event(2, item="y"), event(9, item="z")])
    own = [disliked(3, "x"), disliked(4, "z"), disliked(5, "w"), *(event(n) for n in range(10, 14))]
    await history.append([replace(one, user_id="visit", event_id=f"v{n}") for n, one in enumerate(own)])
    both = await history.read("ada", "visit")
    assert both.disliked == {"x", "w"}
    assert "z" in [item for item, _ in both.visits]
    for _ in range(2):
        await history.merge("ada", "visit")
        read = await history.read("ada")
        assert read.disliked == {"x", "w"}
        assert "x" not in [item for item, _ in read.visits]
        assert await raw.exists(KEYS.user_key("dislikes", "visit")) == 0


async def test_an_erasure_ends_them(connect: Connect, raw: Redis) -> None:
    history = connect()
    await history.append([disliked(1, "x"), replace(disliked(2, "y"), user_id="visit")])
    await history.merge("ada", "visit")
    assert await history.erase("ada") == 2
    assert (await history.read("ada")).disliked == frozenset()
    assert await raw.keys("*dislikes*") == []


async def test_they_are_bounded(connect: Connect, raw: Redis) -> None:
    await connect().append([disliked(n, f"i{n}") for n in range(1_010)])
    kept = await raw.zrange(KEYS.user_key("dislikes", "ada"), 0, -1)
    assert (len(kept), kept[0], kept[-1]) == (1_000, "i10", "i1009")


EVENTS = st.lists(
    st.tuples(st.sampled_from(["ada", "visit"]), st.sampled_from("xyz"), st.integers(0, 6), st.sampled_from(EventType)),
    max_size=14,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(EVENTS, st.booleans())
async def test_redis_and_memory_agree_whatever_comes_in_whatever_order(
    redis_url: str, raw: Redis, rows: list[tuple[str, str, int, EventType]], merged: bool
) -> None:
    """Events of different moments, as those of one are ordered by the run that they belong to."""
    await raw.flushdb()
    history, memory = RedisHistory(storage(redis_url)), MemoryHistory()
    events = [
        Event(user, item, START + 100 * at + number, kind, f"e{number}")
        for number, (user, item, at, kind) in enumerate(rows)
    ]
    try:
        for one in events:
            await history.append([one])
        await memory.append(events)
        if merged:
            await history.merge("ada", "visit")
            await memory.merge("ada", "visit")
        for who in (("ada",), ("visit",), ("ada", "visit")):
            read, expected = await history.read(*who), await memory.read(*who)
            assert (read.visits, read.types, read.disliked) == (expected.visits, expected.types, expected.disliked)
            assert read.impressions == expected.impressions
    finally:
        await history.close()
