"""One go through every store in a Redis, whatever it is: each of its scripts and commands runs once at least."""

import asyncio
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from catalog.data.changes import Delete
from catalog.data.events import EventType
from catalog.data.tombstones import digest_of
from catalog.drained import event_files
from catalog.priors.words import SynonymSet
from server.cli import buckets, export_events
from server.cli.drain import drain
from server.cli.retrain.lock import AlreadyRetraining, RetrainLock
from server.core.settings import StorageSettings
from server.storage.event_log import RedisEventLog
from server.storage.overrides import Override, Rule
from server.storage.protocol import ChangeMade, Event
from server.storage.redis_history import RedisHistory
from server.storage.shared.answer_log import RedisAnswerLog
from server.storage.shared.audit_log import RedisAuditLog
from server.storage.shared.change_log import RedisChanges
from server.storage.shared.fleet import RedisFleet
from server.storage.shared.fleet_state import FleetState, Member
from server.storage.shared.state import RedisOverrides, RedisSplit, RedisSynonyms
from server.storage.shared.tokens import RedisTokens

__all__ = ["USERS", "use_buckets", "use_every_store", "use_histories"]

USERS = [f"user-{number}" for number in range(30)]
SESSIONS = [f"visit-{number}" for number in range(6)]


async def use_every_store(storage: StorageSettings, folder: Path) -> None:
    """storage: of a Redis without keys. Asserts that each store answers as it should."""
    await use_histories(storage)
    await asyncio.gather(
        use_followers(storage),
        use_changes(storage),
        use_states(storage),
        use_fleet(storage),
        use_logs(storage),
    )
    await asyncio.to_thread(use_export, storage, folder / "events.parquet")
    await asyncio.to_thread(use_lock, storage)


def seen(user: str, item: str, kind: EventType = EventType.VIEW) -> Event:
    return Event(user, item, time.time_ns() // 1_000_000, kind, f"{user}-{item}-{kind.value}", None, None)


async def use_histories(storage: StorageSettings) -> None:
    """Leaves an event of each user, of an erased one a tombstone, and of a session an alias."""
    history = RedisHistory(storage)
    await history.check()
    await history.warnings()
    assert await history.append([seen(user, "boot") for user in USERS]) == [True] * len(USERS)
    assert await history.append([seen(user, "boot") for user in USERS]) == [False] * len(USERS)
    ada = [seen("ada", "lace", kind) for kind in (EventType.IMPRESSION, EventType.PURCHASE, EventType.DISLIKE)]
    assert await history.append([*ada, *(seen(name, name) for name in SESSIONS)]) == [True] * 9
    assert {item for item, _ in (await history.read("ada", SESSIONS[0])).visits} == {SESSIONS[0]}  # lace is disliked
    assert [await history.merge("ada", name) for name in SESSIONS] == [1] * len(SESSIONS)
    assert {item for item, _ in (await history.read("ada")).visits} == set(SESSIONS)
    assert (await history.past_events("ada", 50)).total == 2 + len(SESSIONS)
    assert await history.erase("ada") == 3 + len(SESSIONS)
    assert (await history.past_events("ada", 50)).total == 0
    assert await history.append([seen("tab", "lace")]) == [True]
    assert await history.merge(USERS[0], "tab") == 1
    assert await history.erase("tab") == 1
    assert await history.append([seen(USERS[0], "rope")]) == [True]
    assert await history.merge(USERS[1], "desk") == 0
    for user in USERS[1:]:
        assert [item for item, _ in (await history.read(user)).visits] == ["boot"]
    await history.close()


async def use_followers(storage: StorageSettings) -> None:
    log = RedisEventLog(storage)
    began = await log.begin(0, 1_000)
    assert len(began.events) == len(USERS) + 1
    assert (await log.since(began.position, 0)).events == ()
    first = tuple("0" for _ in began.position)
    assert digest_of("ada") in (await log.since(first, 0)).erased
    await log.close()


async def use_changes(storage: StorageSettings) -> None:
    changes = RedisChanges(storage)
    assert await changes.write({"lace": Delete("lace")}, expected=0, number=1)
    assert not await changes.write({}, expected=0, number=1)
    assert list((await changes.since(0)).changes) == ["lace"]
    assert (await changes.claim("v1", {"a": (1, 2), "b": (1, 2)})).taken == {(1, 2)}
    assert await changes.paths("v1", ["a", "b"]) == {"a": (1, 2)}
    await changes.close()


async def use_states(storage: StorageSettings) -> None:
    split, synonyms, overrides = RedisSplit(storage), RedisSynonyms(storage), RedisOverrides(storage)
    assert await split.write({"v1": 1}, expected=0, number=1)
    assert (await split.read()).number == 1
    assert await synonyms.write({"s": SynonymSet("s", ("boot", "shoe"))}, expected=0, number=1)
    assert list((await synonyms.read()).entries) == ["s"]
    assert await overrides.write({"o": Override("o", Rule("boot"))}, expected=0, number=1)
    assert (await overrides.number(), list((await overrides.read()).entries)) == (1, ["o"])
    for store in (split, synonyms, overrides):
        await store.close()


async def use_fleet(storage: StorageSettings) -> None:
    fleet, tokens = RedisFleet(storage, "shop"), RedisTokens(storage, "shop")
    assert await fleet.write(FleetState(number=1), expected=0, flips=True)
    assert list((await fleet.look("one", Member("host:8000"), 5_000)).members) == ["one"]
    await fleet.leave("one")
    assert (await fleet.look(None, Member(""), 5_000)).members == {}
    assert [await tokens.take(caller, 0.001, 1) > 0 for caller in ("key:a", "key:a", "address:::1")] == [0, 1, 0]
    await fleet.close()
    await tokens.close()


async def use_logs(storage: StorageSettings) -> None:
    answers, audit = RedisAnswerLog(storage), RedisAuditLog(storage)
    assert await answers.claim("one", 60)
    assert await answers.claim("one", 60)
    assert not await answers.claim("two", 60)
    await answers.add([b'{"a":1}', b'{"a":2}'])
    batch = await answers.since({})
    assert ([one["a"] for one in batch.answers], len(batch.events)) == ([1, 2], len(USERS) + 1)
    await answers.trim(batch.position)
    assert (await answers.since({})).answers == []
    await audit.add(ChangeMade("r", None, None, "", "PUT", "/items/{item_id}", {}, 200))
    assert len((await audit.latest(5)).changes) == 1
    await answers.close()
    await audit.close()


def use_lock(storage: StorageSettings) -> None:
    """Of retraining."""
    with RetrainLock(lambda: storage.url, storage.namespace) as held:
        held.confirm()
        with pytest.raises(AlreadyRetraining):
            RetrainLock(lambda: storage.url, storage.namespace).__enter__()
    with RetrainLock(lambda: storage.url, storage.namespace) as next_one:
        next_one.confirm()


def use_buckets(storage: StorageSettings, out: Path) -> None:
    """Moves all users, and reads their events again."""
    assert buckets.main(["100", "--redis", storage.url]) == 0
    use_export(storage, out)


def use_export(storage: StorageSettings, out: Path) -> None:
    assert export_events.main(["--redis", storage.url, "--out", str(out)]) == 0
    assert set(pq.read_table(out)["user_id"].to_pylist()) == set(USERS)
    drained = out.parent / "drained"  # which goes on from one to the other number of buckets
    assert drain.main(["--redis", storage.url, "--out", str(drained), "--once"]) == 0
    with event_files([drained]) as (joined,):
        found, exported = (pq.read_table(file).sort_by("event_id") for file in (joined, out))
    assert found.equals(exported)  # but for the order of those of one millisecond, which a move may change
