"""The number of buckets: whoever starts agrees on it, and `gemserve buckets` moves all there is to another one."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from redis import Redis
from redis.client import Pipeline

from catalog.data.events import EventType
from catalog.data.tombstones import digest_of, read_tombstones, tombstones_beside
from catalog.drained import event_files
from server.app import create_app
from server.cli import buckets, export_events
from server.cli.drain import drain
from server.core.errors import HistoryUnavailable, StartupError, WrongRedis
from server.core.settings import Settings
from server.storage.event_log import RedisEventLog
from server.storage.keyspace import BUCKET_KEYS, KEYS, Keyspace, SharedKeys
from server.storage.protocol import Event
from server.storage.redis_history import RedisHistory
from server.storage.shared.answer_log import RedisAnswerLog
from tests.integration.test_redis_faults import open_shop
from tests.support.killed import Killed
from tests.support.redis_store import Connect, settings
from tests.support.small_shop import make_deployments

pytestmark = pytest.mark.integration

USERS = [f"user-{number}" for number in range(40)]
READS = {"HMGET", "HGET", "HSCAN", "SCAN", "TYPE", "EXISTS", "XRANGE", "XINFO STREAM"}
DAY_MS = 86_400_000


@pytest.fixture
def plain(redis_url: str) -> Iterator[Redis]:
    with Redis.from_url(redis_url) as client:
        yield client


def seen(user: str, item: str, number: int, kind: EventType = EventType.VIEW) -> Event:
    return Event(user, item, 1_700_000_000_000 + number, kind, f"{user}-{number}", "rope" if number % 2 else None, None)


async def fill(history: RedisHistory) -> None:
    """Events of all kinds, a merged session, an erased user and one who came back, and one erased as a session."""
    assert all(await history.append([seen(user, f"item-{n}", n) for n in range(5) for user in USERS]))
    kinds = (EventType.IMPRESSION, EventType.DISLIKE, EventType.PURCHASE)
    assert all(await history.append([seen("ada", f"x-{kind.value}", n, kind) for n, kind in enumerate(kinds)]))
    assert all(await history.append([seen("visit", "lace", 1), seen("gone", "lace", 1), seen("back", "lace", 1)]))
    assert await history.merge("ada", "visit") == 1
    assert await history.erase("gone") == 1
    assert await history.erase("back") == 1
    assert await history.append([seen("back", "boot", 2)]) == [True]


async def told_of(history: RedisHistory) -> dict[str, Any]:
    names = [*USERS, "ada", "visit", "gone", "back"]
    return {name: (await history.read(name), await history.past_events(name, 100)) for name in names}


def exported(url: str, folder: Path) -> tuple[list[Any], dict[str, int]]:
    out = folder / f"{time.monotonic_ns()}.parquet"
    assert export_events.main(["--redis", url, "--out", str(out)]) == 0
    events = pq.read_table(out).to_pylist()
    order = [(event["timestamp"], event["recorded_at"]) for event in events]
    assert order == sorted(order)
    events.sort(key=lambda event: (event["user_id"], event["timestamp"], event["event_id"]))
    return events, dict(read_tombstones(tombstones_beside(out)))


def kept_for(plain: Redis, keys: Keyspace) -> dict[str, int]:
    return {kind: plain.pttl(keys.user_key(kind, "ada")) // DAY_MS for kind in ("history", "event_ids", "shown")}  # type: ignore[arg-type]


def killed_after(steps: int, patch: pytest.MonkeyPatch) -> None:
    """Kills whoever sends Redis one more command, or pipeline of commands, that may write."""
    left = iter(range(steps))
    command, pipeline = Redis.execute_command, Pipeline.execute

    def run(self: Redis, *words: Any, **options: Any) -> Any:
        if words[0] not in READS and next(left, None) is None:
            raise Killed
        return command(self, *words, **options)

    def run_all(self: Pipeline, **options: Any) -> Any:
        if next(left, None) is None:
            raise Killed
        return pipeline(self, **options)

    patch.setattr(Redis, "execute_command", run)
    patch.setattr(Pipeline, "execute", run_all)


@pytest.mark.parametrize(
    "more",
    [
        pytest.param(lambda times: times, id="seldom"),
        pytest.param(lambda times: 5, id="often", marks=pytest.mark.slow),
        pytest.param(lambda times: 1, id="after-each-command", marks=[pytest.mark.slow, pytest.mark.large]),
    ],
)
async def test_all_there_is_moves_whenever_it_is_killed(
    connect: Connect,
    plain: Redis,
    redis_url: str,
    more: Callable[[int], int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is killed after one command, the next time after some more, until one comes to its end."""
    await fill(connect(buckets=4))
    old, new = Keyspace(buckets=4), Keyspace(buckets=7)
    before, there, lifetimes = await told_of(connect()), exported(redis_url, tmp_path), kept_for(plain, old)
    number, ended, times = SharedKeys().buckets_number, False, 1
    while not ended:
        with monkeypatch.context() as patch:
            killed_after(times, patch)
            with suppress(Killed):
                ended = buckets.main(["7", "--redis", redis_url]) == 0
        if plain.hexists(number, "goal"):
            assert buckets.main(["9", "--redis", redis_url]) == 2
            with pytest.raises(WrongRedis, match="being moved to 7 buckets: let `gemserve buckets 7`"):
                await connect(buckets=7).check()
        times += more(times)
    assert times > 32
    assert await told_of(connect(buckets=7)) == before
    assert exported(redis_url, tmp_path) == there
    assert kept_for(plain, new) == lifetimes
    names = {name.decode() for name in plain.scan_iter()}
    fences = {old.bucket_key(kind, bucket) for kind in BUCKET_KEYS for bucket in range(4)}
    assert {name for name in names if "{7." not in name} == {*fences, number, KEYS.erased}
    assert {plain.type(name) for name in fences} == {b"string"}
    assert plain.hgetall(number) == {b"number": b"7", b"moves": b"1"}
    await _goes_on(connect(), redis_url, tmp_path)


async def _goes_on(history: RedisHistory, url: str, folder: Path) -> None:
    """Repetitions count once, sessions are still merged, and erasures find what came before."""
    assert await history.append([seen(user, "item-0", 0) for user in USERS]) == [False] * len(USERS)
    assert await history.append([seen("visit", "rope", 9), seen("gone", "boot", 9)]) == [True, True]
    assert await history.erase("ada") == 5
    assert await history.erase(USERS[0]) == 5
    events, tombstones = exported(url, folder)
    assert {event["user_id"] for event in events} == {*USERS[1:], "gone", "back"}
    assert {digest_of(name) for name in ("ada", "visit", "gone", "back", USERS[0])} == set(tombstones)
    assert [event["item_id"] for event in events if event["user_id"] in {"gone", "back"}] == ["boot", "boot"]


async def test_a_server_that_still_runs_records_nothing_and_says_so(connect: Connect, redis_url: str) -> None:
    history = connect()
    await fill(history)
    assert buckets.main(["80", "--redis", redis_url]) == 0
    with pytest.raises(HistoryUnavailable, match="WRONGTYPE"):
        await history.append([seen("ada", "boot", 50)])
    with pytest.raises(HistoryUnavailable, match="WRONGTYPE"):
        await history.merge("ada", "another")
    with pytest.raises(HistoryUnavailable, match="WRONGTYPE"):
        await history.erase(USERS[3])
    with pytest.raises(WrongRedis, match="Redis has 80 buckets and not 64"):
        await history.check()
    for ask in (history.read("ada"), history.append([seen("ada", "boot", 50)])):
        with pytest.raises(WrongRedis):
            await ask
    assert await connect().append([seen("ada", "boot", 50)]) == [True]


async def test_a_server_tells_another_number_when_it_starts_and_when_it_is_asked(
    connect: Connect, plain: Redis, redis_url: str, tmp_path: Path
) -> None:
    port = plain.connection_pool.connection_kwargs["port"]
    async with open_shop(tmp_path, port) as shop:
        assert (await shop.get("/health/ready")).json()["status"] == "ready"
        assert buckets.main(["80", "--redis", redis_url]) == 0
        told = (await shop.get("/health/ready")).json()
        assert told["status"] == "degraded"
        assert "Redis has 80 buckets and not 64" in str(told)
    wanted = Settings(bundles=tmp_path, redis=redis_url, redis_buckets=64)
    app = create_app(wanted, deploy=make_deployments)
    with pytest.raises(StartupError, match="Redis has 80 buckets and not 64: start without redis_buckets"):
        async with app.router.lifespan_context(app):
            pass


async def test_there_and_back_again(connect: Connect, redis_url: str, tmp_path: Path) -> None:
    history = connect()
    await fill(history)
    there = exported(redis_url, tmp_path)
    for number in ("7", "64"):
        assert buckets.main([number, "--redis", redis_url]) == 0
    assert exported(redis_url, tmp_path) == there
    await history.check()
    assert await history.append([seen("ada", "boot", 50)]) == [True]


async def test_analytics_count_nothing_again(connect: Connect, redis_url: str) -> None:
    history, answers = connect(), RedisAnswerLog(settings(redis_url))
    await fill(history)
    batch = await answers.since({})
    assert await history.append([seen("late", "boot", 7)]) == [True]
    await answers.close()
    assert buckets.main(["256", "--redis", redis_url]) == 0
    after = RedisAnswerLog(settings(redis_url))
    more = await after.since(batch.position)
    assert [event["user"] for event in more.events] == [digest_of("late")]
    assert (await after.since(more.position)).events == []
    assert not {name for name in more.position if "{07}" in name}
    await after.close()


async def test_followers_of_the_log_read_it_in_order(connect: Connect, redis_url: str) -> None:
    await fill(connect())
    assert buckets.main(["100", "--redis", redis_url]) == 0
    log = RedisEventLog(settings(redis_url))
    began = await log.begin(0, 1_000)
    assert len(began.events) == 5 * len(USERS) + 4
    assert await connect().append([seen("ada", "boot", 60)]) == [True]
    assert [event.item_id for event in (await log.since(began.position, 0)).events] == ["boot"]
    await log.close()


async def test_the_mark_that_a_move_leaves_in_a_log_for_a_moment_is_no_event(
    connect: Connect, plain: Redis, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here it stays, for whoever reads the log, be it alone in it or behind events."""
    await fill(connect())
    there = exported(redis_url, tmp_path)
    monkeypatch.setattr(Redis, "xdel", lambda *_: 0)
    assert buckets.main(["256", "--redis", redis_url]) == 0
    assert [b"moved" in plain.xrevrange(log, count=1)[0][1] for log in Keyspace(buckets=256).logs] == [True] * 256
    assert {plain.xlen(log) for log in Keyspace(buckets=256).logs} >= {1, 6}
    assert exported(redis_url, tmp_path) == there
    assert drain.main(["--redis", redis_url, "--out", str(tmp_path / "drained"), "--once"]) == 0
    with event_files([tmp_path / "drained"]) as (joined,):
        assert len(pq.read_table(joined)) == len(there[0])
    log, answers = RedisEventLog(settings(redis_url)), RedisAnswerLog(settings(redis_url))
    began = await log.begin(0, 256 * 100)
    followed = sum(event["type"] != "impression" for event in there[0])
    assert len(began.events) == followed
    assert len((await log.since(("0",) * len(began.position), 0)).events) == followed
    assert len((await answers.since({})).events) == len(there[0])
    await log.close()
    await answers.close()


def test_an_entry_that_is_damaged_ends_an_export(
    plain: Redis, redis_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain.xadd(KEYS.bucket_key("log", 7), {"user_id": "ada", "item_id": "boot"}, id="5-1")
    assert export_events.main(["--redis", redis_url, "--out", str(tmp_path / "e.parquet")]) == 2
    said = "the entry 5-1 of the log is damaged: it has no event_id, query, request_id, timestamp, type"
    assert said in capsys.readouterr().err


async def test_an_empty_redis_has_the_number_that_its_first_server_wants(connect: Connect, redis_url: str) -> None:
    assert await connect(buckets=5).append([seen("ada", "boot", 1)]) == [True]
    assert await connect().append([seen("ada", "boot", 1)]) == [False]
    with pytest.raises(WrongRedis, match=r"has 5 buckets and not 64: start without redis_buckets.*gemserve buckets 64"):
        await connect(buckets=64).append([seen("ada", "boot", 1)])


async def test_a_redis_of_before_there_was_a_number_has_64(connect: Connect, plain: Redis) -> None:
    await fill(connect())
    plain.delete(SharedKeys().buckets_number)
    with pytest.raises(WrongRedis, match="has 64 buckets and not 256"):
        await connect(buckets=256).check()
    assert plain.hgetall(SharedKeys().buckets_number) == {b"number": b"64"}


async def test_an_empty_redis_gets_the_number_of_a_server_that_runs(connect: Connect, plain: Redis) -> None:
    history = connect(buckets=5)
    await history.check()
    plain.flushall()
    await history.check()
    assert plain.hget(SharedKeys().buckets_number, "number") == b"5"


async def test_servers_that_start_at_once_agree(connect: Connect, plain: Redis) -> None:
    results = await asyncio.gather(*(connect(buckets=n).check() for n in (5, 6, 7)), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["NoneType", "WrongRedis", "WrongRedis"]


@pytest.mark.parametrize("number", ["0", "4097", "many"])
def test_a_number_that_is_none_is_refused(number: str, redis_url: str) -> None:
    with pytest.raises(SystemExit) as refused:
        buckets.main([number, "--redis", redis_url])
    assert refused.value.code == 2


def test_the_number_is_told(redis_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert buckets.main(["--redis", redis_url]) == 0
    assert capsys.readouterr().out == "64 buckets\n"
    assert buckets.main(["--redis", "redis://127.0.0.1:1"]) == 2
    assert "Connection refused" in capsys.readouterr().err
