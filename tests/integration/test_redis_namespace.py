"""Several catalogs in one Redis: nothing of one reaches another."""

from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from redis.asyncio import Redis

from catalog.data.changes import Delete
from catalog.data.events import EventType
from catalog.priors.words import SynonymSet
from server.cli import export_events, export_items
from server.core.settings import StorageSettings
from server.storage.event_log import RedisEventLog
from server.storage.keyspace import Keyspace
from server.storage.protocol import ChangeMade, Event
from server.storage.redis_history import RedisHistory
from server.storage.shared.audit_log import RedisAuditLog
from server.storage.shared.change_log import RedisChanges
from server.storage.shared.state import RedisSplit, RedisSynonyms
from tests.support.redis_store import settings

pytestmark = pytest.mark.integration
NOW = 1_700_000_000_000
CHANGE = ChangeMade("r", None, None, "", "DELETE", "/items/{item_id}", {"item_id": "a"}, 200)


def event(user: str, item: str) -> Event:
    return Event(user, item, NOW, EventType.VIEW, event_id=f"{user}-{item}")


def of(url: str, namespace: str | None) -> StorageSettings:
    return replace(settings(url), namespace=namespace)


@pytest.mark.parametrize(("mine", "theirs"), [("shoes", None), (None, "shoes"), ("shoes", "hats")])
async def test_nothing_of_one_reaches_another(
    redis_url: str, raw: Redis, mine: str | None, theirs: str | None, tmp_path: Path
) -> None:
    own, other = RedisHistory(of(redis_url, mine)), RedisHistory(of(redis_url, theirs))
    await own.append([event("ada", "boot"), event("visit", "lace")])
    assert await own.merge("ada", "visit") == 1
    assert (await other.read("ada")).visits == ()
    assert await other.merge("ada", "visit") == 0
    assert await other.erase("ada") == 0
    assert len((await own.read("ada")).visits) == 2
    follower = RedisEventLog(of(redis_url, theirs))
    assert (await follower.begin(0, 100)).events == ()
    changes = RedisChanges(of(redis_url, mine)), RedisChanges(of(redis_url, theirs))
    assert await changes[0].write({"boot": Delete("boot")}, expected=0, number=1)
    assert (await changes[1].since(0)).number == 0
    synonyms, split = RedisSynonyms(of(redis_url, mine)), RedisSplit(of(redis_url, mine))
    assert await synonyms.write({"a": SynonymSet("a", ("sofa", "couch"))}, expected=0, number=1)
    assert await split.write({"one": 1, "two": 1}, expected=0, number=1)
    audit_log = RedisAuditLog(of(redis_url, mine))
    await audit_log.add(CHANGE)
    foreign = tuple(store(of(redis_url, theirs)) for store in (RedisSynonyms, RedisSplit, RedisAuditLog))
    assert await foreign[0].number() == 0
    assert (await foreign[1].read()).weights is None
    assert (await foreign[2].latest(5)).changes == ()
    await own.check()
    begins = "gemserve:{" if mine is None else f"gemserve:{mine}:{{"
    keys = [key.decode() if isinstance(key, bytes) else key for key in await raw.keys("*")]
    assert sum(key.startswith(begins) for key in keys) >= 8
    for name, expected in ((mine, ["boot", "lace"]), (theirs, [])):
        out = tmp_path / f"{name}.parquet"
        flags = [] if name is None else ["--namespace", name]
        assert export_events.main(["--redis", redis_url, "--out", str(out), *flags]) == 0
        assert sorted(pq.read_table(out)["item_id"].to_pylist()) == expected
    for store in (own, other, follower, *changes, synonyms, split, audit_log, *foreign):
        await store.close()


@pytest.mark.parametrize("command", [export_events, export_items])
def test_a_namespace_that_is_none_is_refused(
    command, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEMSERVE_NAMESPACE", "Shoes")
    arguments = ["--out", str(tmp_path / "out.parquet")]
    if command is export_items:
        arguments += ["--bundle", str(tmp_path)]
    assert command.main([*arguments, "--redis", "redis://127.0.0.1:1/0"]) == 2
    assert "--namespace: is no namespace" in capsys.readouterr().err


def test_the_usual_one_has_the_keys_that_it_always_had() -> None:
    assert Keyspace().user_key("history", "ada") == "gemserve:{19}:history:ada"
    assert Keyspace("shoes").logs[7] == "gemserve:shoes:{07}:log"
