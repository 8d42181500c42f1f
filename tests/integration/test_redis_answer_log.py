"""Analytics over a real Redis: answers, events and erasures reach the files once, whoever writes them."""

import time
from pathlib import Path

import orjson
import pytest
from redis.asyncio import Redis

from catalog.data.events import EventType
from catalog.data.tombstones import digest_of
from server.analytics.collector import Collector
from server.analytics.files import AnalyticsFiles
from server.analytics.records import AnsweredQuery
from server.analytics.reports import Reports, Window
from server.storage.keyspace import KEYS
from server.storage.protocol import Event
from server.storage.redis_history import RedisHistory
from server.storage.shared.answer_log import RedisAnswerLog
from tests.support.redis_store import settings

pytestmark = pytest.mark.integration
WINDOW = Window.latest()


def answer(number: int, user: str, query: str) -> AnsweredQuery:
    return AnsweredQuery(
        at=1_000 * number + _now(),
        request_id=f"r{number}",
        thread=f"r{number}",
        kind="search",
        user=digest_of(user),
        query=query,
        model="one",
        items=("boot", "lace"),
        first=1,
        fit="all",
        degraded=False,
    )


def _now() -> int:
    return time.time_ns() // 1_000_000


def bought(user: str, number: int) -> Event:
    return Event(user, "lace", _now(), EventType.PURCHASE, f"e{number}", request_id=f"r{number}", value=2.5)


async def test_answers_and_events_are_written_once_by_whoever_holds_the_lease(
    redis_url: str, raw: Redis, tmp_path: Path
) -> None:
    stores = RedisAnswerLog(settings(redis_url)), RedisAnswerLog(settings(redis_url))
    one, other = (Collector(tmp_path, store, days=30) for store in stores)
    history = RedisHistory(settings(redis_url))
    for number, user in enumerate(("ada", "bob", "cid")):
        await stores[number % 2].add([orjson.dumps(answer(number, user, "boots").row())])
        await history.append([bought(user, number)])
    await one.flush()
    await other.flush()
    (query,) = Reports(tmp_path).queries(WINDOW, 10)
    assert (query["intents"], query["converted"], query["value"], query["mean_position"]) == (3, 3, 7.5, 2)
    assert await raw.xlen(KEYS.answers) == 0, "they are in the files"
    await raw.delete(KEYS.analytics_writer)
    await history.erase("bob")
    await stores[0].add([orjson.dumps(answer(3, "eve", "laces").row())])
    await other.flush()
    found = Reports(tmp_path).queries(WINDOW, 10)
    assert [(row["query"], row["intents"]) for row in found] == [("boots", 2), ("laces", 1)]
    for part in (*stores, history):
        await part.close()


async def test_a_crash_before_the_position_is_written_doubles_nothing(
    redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = RedisAnswerLog(settings(redis_url))
    files = AnalyticsFiles(tmp_path)
    await store.add([orjson.dumps(answer(0, "ada", "boots").row())])
    with monkeypatch.context() as crash:
        crash.setattr(Path, "write_text", _crash)
        with pytest.raises(OSError, match="crash"):
            files.add(files.position(), await store.since(files.position()))
    await store.add([orjson.dumps(answer(1, "bob", "boots").row())])
    again = AnalyticsFiles(tmp_path)
    again.add(again.position(), await store.since(again.position()))
    (query,) = Reports(tmp_path).queries(WINDOW, 10)
    assert query["intents"] == 2
    await store.close()


def _crash(*_: object, **__: object) -> None:
    raise OSError("crash")


async def test_another_server_takes_over_from_one_that_died_and_comes_back(
    redis_url: str, raw: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It dies with a part of its answers in a file; then its lease ends, and everything is counted once."""
    stores = RedisAnswerLog(settings(redis_url)), RedisAnswerLog(settings(redis_url))
    dying, heir = (Collector(tmp_path, store, days=30) for store in stores)
    history = RedisHistory(settings(redis_url))
    await stores[0].add([orjson.dumps(answer(0, "ada", "boots").row())])
    await history.append([bought("ada", 0)])
    with monkeypatch.context() as crash:
        crash.setattr(Path, "write_text", _crash)
        await dying.flush()
    await stores[1].add([orjson.dumps(answer(1, "bob", "boots").row())])
    await heir.flush()
    assert await raw.xlen(KEYS.answers) == 2, "the lease is the dead one's"
    assert 0 < await raw.pttl(KEYS.analytics_writer) <= 60_000
    await raw.pexpire(KEYS.analytics_writer, 0)
    read_before = await stores[0].since({})
    await heir.flush()
    (query,) = Reports(tmp_path).queries(WINDOW, 10)
    assert (query["intents"], query["converted"], await raw.xlen(KEYS.answers)) == (2, 1, 0)
    assert not dying.files.add({}, read_before), "it was only slow, and goes on where it was"
    await stores[0].add([orjson.dumps(answer(2, "cid", "boots").row())])
    await dying.flush()
    assert await raw.xlen(KEYS.answers) == 1, "the lease is the heir's"
    await heir.flush()
    (query,) = Reports(tmp_path).queries(WINDOW, 10)
    assert (query["intents"], query["converted"]) == (3, 1)
    for part in (*stores, history):
        await part.close()


async def test_many_parts_of_a_day_become_one(tmp_path: Path, redis_url: str) -> None:
    store = RedisAnswerLog(settings(redis_url))
    files = AnalyticsFiles(tmp_path)
    for number in range(70):
        await store.add([orjson.dumps(answer(number, f"u{number}", "boots").row())])
        files.add(files.position(), await store.since(files.position()))
    assert len(list((tmp_path / "answers").glob("day=2*/*.parquet"))) < 61
    (query,) = Reports(tmp_path).queries(WINDOW, 10)
    assert query["intents"] == 70
    await store.close()


async def test_only_one_server_writes(redis_url: str) -> None:
    store = RedisAnswerLog(settings(redis_url))
    assert await store.claim("one", 60)
    assert not await store.claim("other", 60)
    assert await store.claim("one", 60)
    await store.close()
