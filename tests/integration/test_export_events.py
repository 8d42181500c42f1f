"""From events over a real Redis to a file that training reads."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from catalog.data.events import EventType, read_events
from catalog.data.tombstones import (
    digest_of,
    read_kept_events,
    read_tombstones,
    tombstone_files,
    write_tombstones,
)
from server.cli.export_events import Row, _log, export_events, main, read_hashes
from server.storage.keyspace import BUCKETS, KEYS, BucketKey, Keyspace, bucket_of
from server.storage.managed_redis import free_port
from server.storage.protocol import Event
from server.storage.redis_history import RedisHistory
from tests.support.redis_store import START, Connect, event
from tests.support.redis_store import settings as storage

pytestmark = pytest.mark.integration

FIELDS = ("user_id", "item_id", "timestamp", "type", "query", "event_id", "request_id", "value")
IDS = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=5)
EVENTS = st.lists(
    st.builds(
        Event,
        st.sampled_from(["ada", "bob", "Ω/1", "visit"]),
        IDS,
        st.integers(START, START + 5),
        st.sampled_from(list(EventType)),
        IDS,
        st.none() | IDS,
        st.none() | IDS,
        st.none() | st.floats(allow_nan=False, allow_infinity=False),
    ),
    max_size=40,
)


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    with Redis.from_url(redis_url) as client:
        yield client


@asynccontextmanager
async def open_history(url: str) -> AsyncIterator[RedisHistory]:
    history = RedisHistory(storage(url))
    try:
        yield history
    finally:
        await history.close()


def written(path: Path) -> list[dict[str, object]]:
    return pq.ParquetFile(path).read().to_pylist()


def in_redis(redis: Redis, rows: list[Event]) -> None:
    """As `record_event.lua` writes them, but for the history."""
    for number, row in enumerate(rows):
        values = {name: getattr(row, name) for name in FIELDS}
        fields = {name: "" if value is None else value for name, value in values.items()}
        redis.xadd(KEYS.bucket_key("log", bucket_of(row.user_id)), fields, id=f"{number + 1}-{number % 3}")


async def test_events_go_to_redis_and_come_back_in_a_file(connect: Connect, redis: Redis, tmp_path: Path) -> None:
    sent = [
        replace(event(n, user=f"u{n % 9}", query="zwei Zelte" if n % 2 else None), request_id="r" if n % 3 else None)
        for n in range(50)
    ]
    await connect().append(sent)
    counts = export_events(redis, tmp_path / "events.parquet")
    assert (counts.read, counts.written, counts.repeated) == (50, 50, 0)
    expected = [{name: getattr(row, name) for name in FIELDS} for row in sent]
    assert [{name: row[name] for name in FIELDS} for row in written(tmp_path / "events.parquet")] == expected
    events, report = read_events(tmp_path / "events.parquet", strict=True)
    assert (len(events), report.dropped) == (50, 0)
    assert all(at > START for at in events["recorded_at"].to_pylist())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["events.erased.json", "events.parquet"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(EVENTS, st.integers(1, 7), st.sampled_from([(0, None), (START + 2, START + 4)]))
def test_a_file_is_in_order_of_time_and_then_of_arrival(
    redis: Redis, tmp_path: Path, rows: list[Event], run: int, span: tuple[int, int | None]
) -> None:
    redis.flushall()
    in_redis(redis, rows)
    since, until = span
    with pytest.MonkeyPatch.context() as patch:
        for name, size in (("PIECE", 3), ("RUN", run), ("GROUP", 4)):
            patch.setattr(f"server.cli.export_events.{name}", size)
        counts = export_events(redis, tmp_path / "e.parquet", since=since, until=until)
    wanted = [row for row in rows if since <= row.timestamp and (until is None or row.timestamp < until)]
    ordered = sorted(wanted, key=lambda row: row.timestamp)
    first = {(row.user_id, row.event_id): row for row in reversed(ordered)}
    expected = [row for row in ordered if first[row.user_id, row.event_id] is row]
    found = [tuple(row[name] for name in FIELDS) for row in written(tmp_path / "e.parquet")]
    assert found == [tuple(getattr(row, name) for name in FIELDS) for row in expected]
    assert (counts.read, counts.outside) == (len(rows), len(rows) - len(wanted))
    assert counts.repeated == len(wanted) - len(expected)


async def test_a_session_and_its_user_are_one_person(connect: Connect, redis: Redis, tmp_path: Path) -> None:
    history = connect()
    await history.append([event(1), event(2, user="visit"), event(3, user="phone")])
    await history.merge("visit", "phone")
    await history.merge("ada", "visit")
    await history.append([event(4, user="phone"), event(5, user="bob")])
    await connect(event_ids=1).append([event(2), event(9)])  # sent again, under the account
    in_redis(redis, [])
    counts = export_events(redis, tmp_path / "e.parquet")
    rows = [(row["user_id"], row["item_id"]) for row in written(tmp_path / "e.parquet")]
    assert rows == [*(("ada", f"i{n}") for n in range(1, 5)), ("bob", "i5"), ("ada", "i9")]
    assert counts.of_sessions == 3
    assert [row["recorded_as"] for row in written(tmp_path / "e.parquet")] == [
        *(None, "visit", "phone", "phone"),
        *(None, None),
    ]


async def test_an_erased_user_never_comes_to_training(connect: Connect, redis: Redis, tmp_path: Path) -> None:
    history = connect()
    await history.append([event(1), event(2, user="visit"), event(3, user="bob")])
    await history.merge("ada", "visit")
    export_events(redis, tmp_path / "older.parquet")
    await history.erase("ada")
    await history.append([event(4)])
    in_the_log = [event(5), event(6, user="visit")]  # as if the erasure had been broken off after the tombstones
    for row in in_the_log:
        log = KEYS.bucket_key("log", bucket_of(row.user_id))
        entries = redis.xrange(log)
        redis.delete(log)
        values = {name: getattr(row, name) for name in FIELDS}
        fields = {name: "" if value is None else value for name, value in values.items()}
        redis.xadd(log, fields, id="1-1")
        for entry, kept in entries:
            redis.xadd(log, kept, id=entry)
    counts = export_events(redis, tmp_path / "newer.parquet")
    assert counts.erased == 2
    assert [row["item_id"] for row in written(tmp_path / "newer.parquet")] == ["i3", "i4"]
    tombstones = tombstone_files([tmp_path / "newer.parquet"])
    assert set(read_tombstones(tombstones[0])) == {digest_of("ada"), digest_of("visit")}
    kept, _ = read_kept_events([tmp_path / "older.parquet"], tombstones)
    assert kept["item_id"].to_pylist() == ["i3"]


async def test_a_session_that_is_erased_later_goes_from_its_users_events_too(
    connect: Connect, redis: Redis, tmp_path: Path
) -> None:
    history = connect()
    await history.append([event(1), event(2, user="visit")])
    await history.merge("ada", "visit")
    export_events(redis, tmp_path / "older.parquet")
    await history.erase("visit")
    export_events(redis, tmp_path / "newer.parquet")
    files = [tmp_path / "older.parquet", tmp_path / "newer.parquet"]
    kept, _ = read_kept_events(files, tombstone_files(files))
    assert [(row["user_id"], row["item_id"]) for row in kept.to_pylist()] == [("ada", "i1")]


@pytest.mark.parametrize("step", ["log", "aliases", "tombstones"])
async def test_an_erasure_during_an_export_is_heeded(
    redis_url: str, redis: Redis, tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it comes between two reads: before the tombstones it counts here, after them in the next export."""
    async with open_history(redis_url) as history:
        await history.append([event(1), event(2, user="visit"), event(3, user="bob")])
        await history.merge("ada", "visit")

    def erase() -> None:
        async def in_time() -> None:
            async with open_history(redis_url) as history:
                await history.erase("ada")

        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, in_time()).result()

    def read_log(of: Redis, keys: Keyspace) -> Iterator[Row]:
        yield from list(_log(of, keys))
        if step == "log":
            erase()

    def read_then_erase(of: Redis, keys: Keyspace, kind: BucketKey) -> list[dict[str, str]]:
        found = read_hashes(of, keys, kind)
        if step == kind:
            erase()
        return found

    monkeypatch.setattr("server.cli.export_events._log", read_log)
    monkeypatch.setattr("server.cli.export_events.read_hashes", read_then_erase)
    export_events(redis, tmp_path / "during.parquet")
    monkeypatch.undo()
    export_events(redis, tmp_path / "after.parquet")
    here = [row["item_id"] for row in written(tmp_path / "during.parquet")]
    assert here == (["i1", "i2", "i3"] if step == "tombstones" else ["i3"])
    files = [tmp_path / "during.parquet", tmp_path / "after.parquet"]
    kept, _ = read_kept_events(files, tombstone_files(files))
    assert set(kept["item_id"].to_pylist()) == {"i3"}


@pytest.mark.parametrize("lost", [True, False])
async def test_a_redis_that_forgot_an_erasure_does_not_undo_it(
    connect: Connect, redis: Redis, tmp_path: Path, lost: bool
) -> None:
    """Lost, or put back from a copy of before: the tombstones beside the file of the last export still count."""
    history, out = connect(), tmp_path / "e.parquet"
    await history.append([event(1), event(2, user="bob")])
    export_events(redis, tmp_path / "older.parquet")
    log = KEYS.bucket_key("log", bucket_of("ada"))
    copy = redis.xrange(log)
    await history.erase("ada")
    export_events(redis, out)
    redis.flushall()
    if not lost:
        for entry, fields in copy:
            redis.xadd(log, fields, id=entry)
    counts = export_events(redis, out)
    assert (counts.erased, counts.tombstones) == (0 if lost else 1, 1)
    files = [tmp_path / "older.parquet", out]
    kept, _ = read_kept_events(files, tombstone_files(files))
    assert kept["user_id"].to_pylist() == ["bob"]


async def test_an_export_onto_a_link_keeps_the_tombstones_of_the_file_behind_it(redis: Redis, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    write_tombstones({digest_of("ada"): 9_000_000_000_000}, tmp_path / "store" / "e.erased.json")
    (tmp_path / "store" / "e.parquet").write_bytes(b"")
    out = tmp_path / "out.parquet"
    out.symlink_to("store/e.parquet")
    in_redis(redis, [event(1), event(2, user="bob")])
    assert export_events(redis, out).erased == 1
    assert read_tombstones(tmp_path / "out.erased.json").keys() == {digest_of("ada")}


async def test_tombstones_that_cannot_be_read_stop_an_export(
    redis_url: str, redis: Redis, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "e.erased.json").write_text("{")
    in_redis(redis, [event(1)])
    assert main(["--redis", redis_url, "--out", str(tmp_path / "e.parquet")]) == 2
    assert "e.erased.json: is no list" in capsys.readouterr().err
    assert not (tmp_path / "e.parquet").exists()


def test_a_log_without_events(redis: Redis, tmp_path: Path) -> None:
    assert export_events(redis, tmp_path / "new" / "e.parquet").written == 0
    assert len(read_events(tmp_path / "new" / "e.parquet")[0]) == 0


def test_all_parts_of_the_log_are_read(redis: Redis, tmp_path: Path) -> None:
    in_redis(redis, [event(n, user=f"u{n}") for n in range(1_000)])
    assert len({bucket_of(f"u{n}") for n in range(1_000)}) == BUCKETS
    assert export_events(redis, tmp_path / "e.parquet").written == 1_000


def test_the_command(redis_url: str, redis: Redis, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    in_redis(redis, [event(n) for n in range(3)])
    out = tmp_path / "e.parquet"
    command = [sys.executable, "-m", "server.cli.export_events", "--redis", redis_url, "--out", str(out)]
    asked = subprocess.run([*command, "--since", str(START + 1_000)], capture_output=True, text=True, check=True)
    assert "2 written" in asked.stdout
    assert [row["item_id"] for row in written(out)] == ["i1", "i2"]
    for arguments in (["--out", str(tmp_path / "e.csv")], []):
        with pytest.raises(SystemExit):
            main(["--redis", redis_url, *arguments])


def test_a_redis_that_is_away_leaves_the_file_before(
    redis_url: str, redis: Redis, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "e.parquet"
    in_redis(redis, [event(1)])
    assert main(["--redis", redis_url, "--out", str(out)]) == 0
    assert main(["--redis", f"redis://127.0.0.1:{free_port()}/0", "--out", str(out)]) == 2
    assert main(["--redis", "nonsense", "--out", str(out)]) == 2
    assert "nothing was written" in capsys.readouterr().err
    assert len(written(out)) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["e.erased.json", "e.parquet"]


def test_a_redis_that_is_silent_ends_the_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("server.cli.export_events.REDIS_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        assert main(["--redis", url, "--out", str(tmp_path / "e.parquet")]) == 2
    assert "nothing was written" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
