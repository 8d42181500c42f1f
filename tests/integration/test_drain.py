"""The event log over a real Redis into drained folders, however the process ends, and from there to training."""

import asyncio
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from redis import Redis

from catalog.data.items import Items, clean_items
from catalog.data.tombstones import digest_of, read_kept_events, read_tombstones, tombstone_files
from catalog.data.validation_report import ValidationReport
from catalog.drained import TOMBSTONES, aliases, joined_files, parts_of, read_aliases
from catalog.drained.layout import reading
from server.cli import buckets
from server.cli.drain import drain, drainer, folder, people
from server.cli.drain.drainer import Drainer
from server.cli.drain.folder import open_folder
from server.cli.drain.state import read_state
from server.cli.export_events import _log, export_events
from server.storage.keyspace import KEYS, Keyspace, bucket_of, read_keyspace
from server.storage.protocol import Event
from tests.support.killed import Killed
from tests.support.redis_server import PassingRedis
from tests.support.redis_store import Connect, event
from trainer.data.prepared import prepare_histories

pytestmark = pytest.mark.integration

COLUMNS = ("user_id", "item_id", "timestamp", "type", "query", "event_id", "request_id", "value", "recorded_at")
DAY_MS = 86_400_000


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    with Redis.from_url(redis_url) as client:
        yield client


def once(redis: Redis, out: Path, *, tidy: bool = False, log_length: int = 1_000_000) -> Drainer:
    with open_folder(out) as opened:
        found = Drainer(opened, None, log_length, lambda: False)
        found.round(redis)
        if tidy:
            found.tidy(whole=True)
    return found


def add(redis: Redis, events: list[Event], day: int | None = None, keys: Keyspace = KEYS, first: int = 0) -> None:
    """To the log alone, as `record_event.lua` does. day: on which they come; None for today. first: its place."""
    for number, one in enumerate(events, start=first):
        values = {name: getattr(one, name) for name in COLUMNS[:-1]}
        fields: Any = {name: "" if value is None else str(value) for name, value in values.items()}
        place = "*" if day is None else f"{day * DAY_MS + number // 3 + 1}-{number % 3}"
        redis.xadd(keys.bucket_key("log", bucket_of(one.user_id, keys.buckets)), fields, id=place)


def some(count: int, first: int = 0) -> list[Event]:
    return [
        replace(event(n, user=f"u{n % 11}", query="zwei Zelte" if n % 3 else None), value=n / 2 if n % 2 else None)
        for n in range(first, first + count)
    ]


def rows(out: Path) -> list[dict[str, Any]]:
    return [row for part in parts_of(out) for row in pq.ParquetFile(part).read().to_pylist()]


def drained(out: Path) -> Counter[tuple[Any, ...]]:
    return Counter(tuple(row[name] for name in COLUMNS) for row in rows(out))


def in_log(redis: Redis) -> Counter[tuple[Any, ...]]:
    found = _log(redis, read_keyspace(redis, None))
    return Counter(tuple(getattr(row, name) for name in COLUMNS) for row in found)


def names(out: Path) -> list[str]:
    return [str(part.relative_to(out)) for part in parts_of(out)]


def joined(out: Path, into: Path) -> Path:
    into.mkdir()
    (file,) = joined_files([out], into)
    return file


def whole(file: Path) -> pa.Table:
    return pq.ParquetFile(file).read()


async def test_a_drained_folder_has_the_rows_of_an_export(connect: Connect, redis: Redis, tmp_path: Path) -> None:
    history, out = connect(), tmp_path / "drained"
    await history.append(some(50))
    assert once(redis, out).written == 50
    await history.append([*some(9, first=20), *some(30, first=50), event(7, user="visit"), event(8, user="phone")])
    await history.merge("visit", "phone")
    await history.merge("u3", "visit")
    await history.append([event(99, user="phone"), event(98, user="gone")])
    assert once(redis, out).written == 34
    await history.erase("gone")
    assert once(redis, out, tidy=True).written == 0
    export_events(redis, tmp_path / "events.parquet")
    found = joined(out, tmp_path / "joined")
    assert whole(found).equals(whole(tmp_path / "events.parquet"))
    assert Counter(whole(found)["recorded_as"].to_pylist()) == {None: 80, "visit": 1, "phone": 2}
    assert read_tombstones(tombstone_files([found])[0]) == read_tombstones(tmp_path / "events.erased.json")
    assert all(name.startswith("day=") and "/bucket=" in name for name in names(out))


async def test_training_reads_of_a_drained_folder_what_it_reads_of_an_export(
    connect: Connect, redis: Redis, tmp_path: Path
) -> None:
    """With ids that came again, sessions, and users who were erased after they were drained; in memory and on disk."""
    history, out = connect(event_ids=1), tmp_path / "drained"
    await history.append([*some(60), *some(40), event(7, user="visit"), event(7, user="gone"), event(8, user="visit")])
    once(redis, out)
    await history.merge("u3", "visit")
    await history.append([*some(60, first=30), replace(event(7, user="u3"), item_id="i9"), event(8, user="gone")])
    await history.erase("gone")
    await history.append([event(9, user="gone")])
    once(redis, out)
    export_events(redis, tmp_path / "events.parquet")
    both = [tmp_path / "events.parquet", joined(out, tmp_path / "joined")]
    kept = [read_kept_events([file], tombstone_files([file]))[0] for file in both]
    assert kept[0].equals(kept[1])
    items = Items(clean_items(pa.table({"item_id": [f"i{n}" for n in range(100)]}), ValidationReport("items")))
    found = []
    for number, file in enumerate(both):
        (folder := tmp_path / f"prepared-{number}").mkdir()
        prepare_histories([file], tombstone_files([file]), items, folder)
        found.append({path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()})
    assert found[0] == found[1]


def test_parts_are_by_the_day_on_which_events_came(redis: Redis, tmp_path: Path) -> None:
    out = tmp_path / "drained"
    add(redis, some(20), day=20_000)
    add(redis, some(20, first=20), day=20_001)
    once(redis, out)
    tags = sorted({KEYS.tag(bucket_of(f"u{n}")) for n in range(11)})
    days = [date.fromordinal(date(1970, 1, 1).toordinal() + day).isoformat() for day in (20_000, 20_001)]
    assert names(out) == [f"day={day}/bucket={tag}/0000000002.parquet" for day in days for tag in tags]
    assert joined_files([out / f"day={days[1]}"], tmp_path)
    assert whole(tmp_path / "events-1.parquet")["event_id"].to_pylist() == [f"e{n}" for n in range(20, 40)]
    assert drained(out) == in_log(redis)


def test_days_that_have_ended_get_a_part_a_bucket(redis: Redis, tmp_path: Path) -> None:
    out = tmp_path / "drained"
    for first in range(0, 100, 20):
        add(redis, some(20, first=first), day=20_000 + first)
        add(redis, [event(first + n, user="ada") for n in range(5)], day=20_000 + first)
        once(redis, out)
    today = [event(500 + n, user="ada") for n in range(folder.MAX_PARTS)]
    for one in today:
        add(redis, [one])
        once(redis, out)
    before, log = drained(out), in_log(redis)
    assert before == log
    once(redis, out, tidy=True)
    assert drained(out) == log
    per_bucket = Counter(Path(name).parent for name in names(out))
    ended = {count for parent, count in per_bucket.items() if "20" not in parent.parent.name[4:6]}
    assert max(per_bucket.values()) == folder.MAX_PARTS
    add(redis, [event(900, user="ada")])
    once(redis, out, tidy=True)
    assert set(Counter(Path(name).parent for name in names(out)).values()) == {1}
    assert drained(out) == in_log(redis)
    assert ended <= {1}


def test_parts_are_not_joined_while_somebody_reads(redis: Redis, tmp_path: Path) -> None:
    out = tmp_path / "drained"
    for first in (0, 10):
        add(redis, some(10, first=first), day=20_000 + first)
        add(redis, some(10, first=first + 20), day=20_000 + first + 1)
        once(redis, out)
    add(redis, [event(50, user="u1"), event(51, user="u1")], day=20_012)
    once(redis, out)
    before = names(out)
    with reading(out):
        add(redis, some(5, first=60), day=20_012)
        once(redis, out, tidy=True)
        assert set(before) < set(names(out))
    once(redis, out, tidy=True)
    assert max(Counter(Path(name).parent for name in names(out)).values()) == 1
    assert drained(out) == in_log(redis)


def killing(patch: pytest.MonkeyPatch, steps: int) -> None:
    """Kills whoever touches a file that is to last once more than so often; a step is made, or not, before it dies."""
    left = iter(range(steps))

    def wrapped(change: Callable[..., Any]) -> Callable[..., Any]:
        def run(*words: Any, **options: Any) -> Any:
            if next(left, None) is None:
                if steps % 2:
                    change(*words, **options)
                raise Killed
            return change(*words, **options)

        return run

    for name in ("replace", "unlink", "write_bytes"):
        patch.setattr(Path, name, wrapped(getattr(Path, name)))
    for module in (folder, people, aliases):
        patch.setattr(module, "fsync", wrapped(lambda path: None))


async def test_a_crash_at_any_step_neither_loses_nor_doubles_an_event(
    connect: Connect, redis: Redis, tmp_path: Path
) -> None:
    """Each file operation of a folder's life: its beginning, more events, an erasure, a merge, and joined parts."""
    history, keys = connect(), Keyspace(None, 3)
    users = [name for name in (f"u{n}" for n in range(20)) if keys.bucket_of(name) == 1]  # the others' are 0 and 2
    steps = died = 0
    while steps == 0 or died:
        redis.flushall()
        redis.hset(keys.buckets_number, "number", "3")
        out, died = tmp_path / f"drained-{steps}", 0
        for turn in range(3):
            add(redis, [event(n + 10 * turn, user=users[n % 2]) for n in range(4)], day=20_000 + turn, keys=keys)
            await history.append([event(turn, user="gone"), event(turn, user="visit")])
            if turn == 1:
                await history.merge("ada", "visit")
            if turn == 2:
                await history.erase("gone")
            with pytest.MonkeyPatch.context() as patch:
                killing(patch, steps)
                try:
                    await asyncio.to_thread(once, redis, out, tidy=turn == 2)
                except Killed:
                    died += 1
        if (out / "_drain.json").exists():
            parts_of(out)
        await asyncio.to_thread(once, redis, out, tidy=True)
        assert drained(out) == in_log(redis), steps
        assert not list(out.glob("day=*/bucket=*/.*"))
        assert read_aliases(out) == {"visit": "ada"}
        assert set(read_tombstones(out / TOMBSTONES)) == {digest_of("gone")}
        steps += 1
    assert steps > 30


def test_what_was_drained_when_the_process_died_is_not_asked_of_the_log_again(redis: Redis, tmp_path: Path) -> None:
    """Nor lost with it: the log has dropped the events before the folder is opened again."""
    for steps in range(200):
        redis.flushall()
        redis.hset(KEYS.buckets_number, "number", "3")
        out = tmp_path / f"drained-{steps}"
        add(redis, some(12)[:2], day=20_000, keys=Keyspace(None, 3))
        once(redis, out)
        add(redis, some(2, first=12), day=20_001, keys=Keyspace(None, 3))
        both = in_log(redis)
        with pytest.MonkeyPatch.context() as patch:
            killing(patch, steps)
            try:
                once(redis, out)
            except Killed:
                pass
            else:
                break
        for log in Keyspace(None, 3).logs:
            redis.xtrim(log, maxlen=0, approximate=False)
        again = once(redis, out)
        if again.lost:
            assert again.lost == 2
            assert sum(drained(out).values()) == 2
        else:
            assert drained(out) == both
    assert steps > 10


async def test_a_process_that_is_killed_again_and_again_drains_each_event_once(
    connect: Connect, redis_url: str, redis: Redis, tmp_path: Path
) -> None:
    history, out = connect(), tmp_path / "drained"
    command = ["--redis", redis_url, "--out", str(out)]
    chance, sent, kills = random.Random(7), 0, 15
    for kill in range(kills + 1):
        process = get_context("fork").Process(target=_drain, args=([*command, "--every", "0.01"],))
        process.start()
        before = read_state(out)
        until = time.monotonic() + chance.uniform(0, 1)
        while time.monotonic() < until or (read_state(out) == before and kill in {0, kills}):
            number = chance.randrange(1, 40)
            await history.append([event(sent + n, user=f"u{(sent + n) % 7}") for n in range(number)])
            sent += number
        if kill < kills:
            process.kill()
        else:
            process.terminate()
        process.join(120)
        assert process.exitcode == (-9 if kill < kills else 0)
    assert drain.main([*command, "--once"]) == 0
    found = drained(out)
    assert found == in_log(redis)
    assert set(found.values()) == {1}
    assert sum(found.values()) == sent > 200


def _drain(words: list[str]) -> None:
    sys.exit(drain.main(words))


async def test_who_was_erased_leaves_the_files(connect: Connect, redis: Redis, tmp_path: Path) -> None:
    """Of all days, and the sessions too; what comes after the erasure stays."""
    history, out = connect(), tmp_path / "drained"
    await history.append([event(1), event(2, user="visit"), event(3, user="bob")])
    once(redis, out)
    await history.append([event(4), event(5, user="bob")])
    await history.merge("ada", "visit")
    once(redis, out)
    await history.append([event(6)])
    await history.erase("ada")
    await history.append([event(7)])
    once(redis, out)
    assert set(read_tombstones(out / TOMBSTONES)) == {digest_of("ada"), digest_of("visit")}
    assert sorted(row["item_id"] for row in rows(out)) == ["i1", "i2", "i3", "i4", "i5", "i7"]
    found = joined(out, tmp_path / "joined")
    kept, _ = read_kept_events([found], tombstone_files([found]))
    assert sorted(kept["item_id"].to_pylist()) == ["i3", "i5", "i7"]
    assert read_aliases(out) == {}
    once(redis, out, tidy=True)
    assert sorted(row["item_id"] for row in rows(out)) == ["i3", "i5", "i7"]
    redis.flushall()  # which does not undo an erasure
    once(redis, out, tidy=True)
    assert set(read_tombstones(out / TOMBSTONES)) == {digest_of("ada"), digest_of("visit")}


async def test_a_redis_that_was_lost_takes_no_session_from_its_user(
    connect: Connect, redis: Redis, tmp_path: Path
) -> None:
    history, out = connect(), tmp_path / "drained"
    await history.append([event(2, user="visit")])
    await history.merge("ada", "visit")
    once(redis, out)
    redis.flushall()
    lost = once(redis, out)
    assert lost.went_back
    assert read_aliases(out) == {"visit": "ada"}
    assert not once(redis, out).went_back
    await connect().append([event(3, user="visit")])
    once(redis, out)
    assert whole(joined(out, tmp_path / "joined"))["user_id"].to_pylist() == ["ada", "ada"]


async def test_what_the_log_had_dropped_is_told(connect: Connect, redis: Redis, tmp_path: Path) -> None:
    out, log = tmp_path / "drained", KEYS.bucket_key("log", bucket_of("ada"))
    add(redis, [event(n) for n in range(10)])
    once(redis, out)
    add(redis, [event(n) for n in range(10, 20)])
    redis.xtrim(log, maxlen=11, approximate=False)  # one that was drained is left
    assert once(redis, out).lost == 0
    add(redis, [event(n) for n in range(20, 30)])
    redis.xtrim(log, maxlen=7, approximate=False)
    assert once(redis, out).lost == 3
    assert once(redis, out).lost == 0
    assert sum(drained(out).values()) == 27


async def test_an_erasure_is_not_taken_for_a_loss(connect: Connect, redis: Redis, tmp_path: Path) -> None:
    history, out = connect(), tmp_path / "drained"
    await history.append([event(n) for n in range(10)])
    once(redis, out)
    await history.append([event(n) for n in range(10, 20)])
    await history.erase("ada")
    await history.append([event(n) for n in range(20, 23)])
    found = once(redis, out, log_length=64 * 100)
    assert (found.lost, found.went_back, found.written) == (0, False, 3)
    await history.append([event(n) for n in range(23, 26)])
    await history.erase("ada")
    assert once(redis, out, log_length=64 * 5).lost == 0
    await history.append([event(n) for n in range(26, 32)])
    redis.xtrim(KEYS.bucket_key("log", bucket_of("ada")), maxlen=4, approximate=False)
    assert once(redis, out, log_length=64 * 4).lost == 2


def test_the_status_says_what_was_lost(redis_url: str, redis: Redis, tmp_path: Path) -> None:
    out = tmp_path / "drained"
    command = ["--redis", redis_url, "--out", str(out), "--once"]
    add(redis, some(30))
    assert drain.main(command) == 0
    add(redis, some(30, first=30))
    for log in KEYS.logs:
        redis.xtrim(log, maxlen=0, approximate=False)
    assert drain.main(command) == 3
    assert drain.main(command) == 0
    redis.flushall()
    assert drain.main(command) == 3


@pytest.mark.parametrize("goals", [[7], [256], [7, 64], [3, 5]])
async def test_a_move_to_other_buckets_loses_and_doubles_nothing(
    connect: Connect, redis_url: str, redis: Redis, tmp_path: Path, goals: list[int]
) -> None:
    """Of buckets that are drained to places of their own, with events of one millisecond before and behind them."""
    out = tmp_path / "drained"
    chance = random.Random(len(goals))
    await connect().check()
    for number in range(300):  # of which three come to a bucket in each millisecond
        log = KEYS.bucket_key("log", bucket_of(one := f"u{chance.randrange(40)}"))
        add(redis, [event(number, user=one)], day=20_000, first=redis.xlen(log))
    with pytest.MonkeyPatch.context() as patch:  # some buckets whole, one in part, and others not at all
        patch.setattr(drainer, "PIECE", 2)
        patch.setattr(drainer, "BATCH", 20)
        stops = iter(range(60))
        with open_folder(out) as opened:
            Drainer(opened, None, 1_000_000, lambda: next(stops, None) is None).round(redis)
    before = drained(out)
    assert 0 < sum(before.values()) < 300
    for goal in goals:
        assert buckets.main([str(goal), "--redis", redis_url]) == 0
    assert once(redis, out).lost == 0
    found = drained(out)
    assert set(found.values()) == {1}
    assert {row[5] for row in found} == {f"e{n}" for n in range(300)}
    assert before < found
    await connect().append([event(n, user=f"u{n % 40}") for n in range(300, 340)])
    once(redis, out)
    once(redis, out, tidy=True)
    assert {row[5] for row in drained(out)} == {f"e{n}" for n in range(340)}
    assert set(drained(out).values()) == {1}
    assert len((out / "_drain.json").read_text()) < 20_000 if goals[-1] != 256 else True


def test_a_move_that_is_under_way_is_waited_for(redis_url: str, redis: Redis, tmp_path: Path, capfd: Any) -> None:
    add(redis, some(10))
    redis.hset(KEYS.buckets_number, mapping={"number": "64", "goal": "7"})
    assert drain.main(["--redis", redis_url, "--out", str(tmp_path / "out"), "--once"]) == 2
    assert "users are being moved to 7 buckets" in capfd.readouterr().err


def test_one_process_drains_to_a_folder(redis_url: str, tmp_path: Path, capfd: Any) -> None:
    out = tmp_path / "drained"
    with open_folder(out):
        assert drain.main(["--redis", redis_url, "--out", str(out), "--once"]) == 2
    assert "another process drains" in capfd.readouterr().err
    assert drain.main(["--redis", redis_url, "--out", str(out), "--once", "--namespace", "shoes"]) == 0
    assert drain.main(["--redis", redis_url, "--out", str(out), "--once"]) == 2
    assert "is of the namespace shoes" in capfd.readouterr().err


def test_a_folder_whose_state_is_gone_is_not_drained_to(redis: Redis, tmp_path: Path) -> None:
    out = tmp_path / "drained"
    add(redis, some(3))
    once(redis, out)
    for text in (None, "{", '{"format": 9}'):
        (out / "_drain.json").unlink(missing_ok=True)
        if text is not None:
            (out / "_drain.json").write_text(text)
        with pytest.raises(drainer.StartupError):
            once(redis, out)


def test_a_redis_that_goes_away_is_waited_for(passing_redis: PassingRedis, tmp_path: Path) -> None:
    out = tmp_path / "drained"
    passing_redis.come()
    with Redis.from_url(passing_redis.url) as client:
        add(client, some(10))
    command = ["-m", "server.cli.drain.drain", "--redis", passing_redis.url, "--out", str(out), "--every", "0.05"]
    process = subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True)
    try:
        _until(lambda: (out / "_drain.json").exists() and len(rows(out)) == 10)
        passing_redis.go()
        assert process.stdout is not None
        while "drain_waits" not in process.stdout.readline():
            pass
        passing_redis.come()
        with Redis.from_url(passing_redis.url) as client:
            add(client, some(10, first=10))
        _until(lambda: len(rows(out)) == 20)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 0


def _until(true: Callable[[], bool]) -> None:
    while not true():
        time.sleep(0.02)


def test_refusals(tmp_path: Path) -> None:
    for words in (["--out", "s3://bucket/events"], ["--out", str(tmp_path), "--every", "0"], []):
        with pytest.raises(SystemExit):
            drain.main(words)
