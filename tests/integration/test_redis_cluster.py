"""A Redis with cluster mode: every script's keys share a slot, and a URL of the wrong kind is refused.

It is one node, which has all slots, and refuses what a cluster of many does. tests/faults/test_cluster.py has more.
"""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as profile
from redis import Redis
from redis.exceptions import NoPermissionError, ResponseError

from server.cli import buckets, export_events
from server.core.errors import HistoryUnavailable, WrongRedis
from server.storage import managed_redis as module
from server.storage.keyspace import KEYS
from server.storage.redis_history import RedisHistory
from tests.hostile.texts import ids
from tests.support.every_store import use_buckets, use_every_store
from tests.support.redis_acl import MOVER, SECRET, USER, commands, give_rights
from tests.support.redis_store import event, items_of, settings
from tests.support.sentinels import until

pytestmark = pytest.mark.integration
CONNECTING = {"client|setname", "select", "ping", "role"}
"""What only some connections say, or at some times."""
JOINING = {"zadd", "zrange", "sadd", "smembers"}
"""What is asked of a key that was copied before."""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """HOST:PORT of a cluster of one node."""
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(module.CONFIGURATION, "cluster-enabled", "yes")
            patch.setitem(module.CONFIGURATION, "cluster-port", str(module.free_port()))
            url = stack.enter_context(module.managed_redis(tmp_path_factory.mktemp("cluster")))
        with Redis.from_url(url) as client:
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16_383)
            until(lambda: client.execute_command("CLUSTER INFO")["cluster_state"] == "ok")
        yield url.removeprefix("redis://").partition("/")[0]


async def test_every_store_works_on_a_cluster(node: str, tmp_path: Path) -> None:
    with Redis.from_url(f"redis://{node}") as client:
        client.flushall()
        with pytest.raises(ResponseError, match="same slot"):
            client.eval("return 1", 2, KEYS.user_key("history", "ada"), KEYS.user_key("history", "bob"))
    await use_every_store(settings(f"redis+cluster://{node}"), tmp_path)
    use_buckets(settings(f"redis+cluster://{node}"), tmp_path / "moved.parquet")


async def test_the_documented_rights_are_enough_and_none_is_idle(node: str, tmp_path: Path) -> None:
    with Redis.from_url(f"redis://{node}") as client:
        client.flushall()
        client.script_flush()  # else no script is loaded
        give_rights(client)
        client.config_resetstat()
        await use_every_store(settings(f"redis+cluster://{USER}:{quote(SECRET, safe='')}@{node}"), tmp_path)
        used = {name.removeprefix("cmdstat_") for name in client.info("commandstats")}
        assert commands() - used <= CONNECTING
        assert client.info("commandstats").get("cmdstat_acl|setuser") is None
        give_rights(client, MOVER)
        client.config_resetstat()
        assert buckets.main(["9", "--redis", f"redis+cluster://{MOVER}:{quote(SECRET, safe='')}@{node}"]) == 0
        used = {name.removeprefix("cmdstat_") for name in client.info("commandstats")}
        assert commands(MOVER) - used <= CONNECTING | JOINING
    with Redis.from_url(f"redis://{USER}:{quote(SECRET, safe='')}@{node}") as allowed:
        for refused in (["FLUSHALL"], ["KEYS", "*"], ["GET", "other"], ["ACL", "WHOAMI"], ["SUBSCRIBE", "gemserve:a"]):
            with pytest.raises(NoPermissionError):
                allowed.execute_command(*refused)


@given(user=ids, session=ids)
@profile(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=5)
async def test_no_id_leads_a_script_to_another_slot(node: str, user: str, session: str) -> None:
    with Redis.from_url(f"redis://{node}") as client:
        client.flushall()
    history = RedisHistory(settings(f"redis+cluster://{node}"))
    assert await history.append([event(1, user=user), event(2, user=session)]) == [True, True]
    if user != session:
        assert await history.merge(user, session) == 1
    assert await items_of(history, user) == ["i1", "i2"]
    assert await history.erase(user) == 2
    await history.close()


async def test_a_redis_without_cluster_mode_is_no_cluster(redis_url: str) -> None:
    history = RedisHistory(settings(re.sub("^redis://", "redis+cluster://", redis_url)))
    with pytest.raises(WrongRedis, match="is no node of a cluster: write redis://"):
        await history.check()
    await history.close()


@pytest.mark.parametrize("port", [None, 1], ids=["without-cluster-mode", "nobody"])
def test_an_export_says_what_the_cluster_is_not(
    redis_url: str, port: int | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = redis_url.partition("://")[2] if port is None else f"127.0.0.1:{port}"
    out = tmp_path / "events.parquet"
    assert export_events.main(["--redis", f"redis+cluster://{where}", "--out", str(out)]) == 2
    told = capsys.readouterr().err
    assert ("is no node of a cluster: write redis://" if port is None else "no node says what the cluster is") in told
    assert "managed" not in told


async def test_a_cluster_whose_slots_nobody_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(module.CONFIGURATION, "cluster-enabled", "yes")
    monkeypatch.setitem(module.CONFIGURATION, "cluster-port", str(module.free_port()))
    with module.managed_redis(tmp_path) as url:
        history = RedisHistory(settings(re.sub("^redis://", "redis+cluster://", url)))
        with pytest.raises(HistoryUnavailable, match="none of its nodes has a slot"):
            await history.check()
        await history.close()
