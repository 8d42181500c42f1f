"""A Redis Cluster of three primaries and their replicas: a primary is killed or hangs, and a slot moves."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from catalog.data.events import EventType
from server.cli import export_events
from server.core.errors import HistoryUnavailable, WrongRedis
from server.core.settings import StorageSettings
from server.storage.keyspace import KEYS, bucket_of
from server.storage.protocol import Event
from server.storage.redis_history import RedisHistory
from tests.support.certificates import make_certificate
from tests.support.every_store import use_buckets, use_every_store
from tests.support.redis_acl import give_rights
from tests.support.redis_cluster import RedisCluster, redis_cluster

pytestmark = [pytest.mark.integration, pytest.mark.slow]

USERS = [f"user-{number}" for number in range(24)]
PATIENCE_SECONDS = 120.0


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    with redis_cluster(tmp_path_factory.mktemp("cluster")) as found:
        yield found


@pytest.fixture
def redis(cluster: RedisCluster) -> RedisCluster:
    """The same one, with all its nodes and without keys."""
    cluster.heal()
    cluster.empty()
    return cluster


def settings(url: str, timeout_ms: int = 20_000) -> StorageSettings:
    return StorageSettings(url=url, read_timeout_ms=timeout_ms, write_timeout_ms=timeout_ms, connections=4)


@asynccontextmanager
async def open_history(url: str, timeout_ms: int = 20_000) -> AsyncIterator[RedisHistory]:
    history = RedisHistory(settings(url, timeout_ms))
    try:
        yield history
    finally:
        await history.close()


def event(user: str, number: int) -> Event:
    return Event(user, f"item-{number}", 1_700_000_000_000 + number, EventType.VIEW, f"{user}-{number}", None, None)


async def test_every_store_works_on_it(redis: RedisCluster, tmp_path: Path) -> None:
    """With a node that is away in front of those that are there."""
    await use_every_store(settings(redis.url(away=1)), tmp_path)
    await asyncio.to_thread(use_buckets, settings(redis.url(away=1)), tmp_path / "moved.parquet")


async def test_a_url_of_one_redis_is_refused(
    redis: RedisCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with open_history(f"redis://{redis.names[0]}/0") as history:
        with pytest.raises(WrongRedis, match=r"write redis\+cluster://"):
            await history.check()
    assert export_events.main(["--redis", f"redis://{redis.names[0]}/0", "--out", str(tmp_path / "e.parquet")]) == 2
    assert "write redis+cluster://" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("way", "timeout_ms"),
    [
        pytest.param(signal.SIGKILL, 20_000, id="killed"),
        pytest.param(signal.SIGSTOP, 1_500, id="hangs", marks=pytest.mark.large),
    ],
)
async def test_a_primary_that_is_lost(
    redis: RedisCluster, way: signal.Signals, timeout_ms: int, keep: Callable[..., None]
) -> None:
    """Users of other shards notice nothing, and no acknowledged event is lost."""
    lost = redis.node_of(USERS[0])
    theirs = {user for user in USERS if redis.node_of(user) is lost}
    assert 0 < len(theirs) < len(USERS)
    async with open_history(redis.url(), timeout_ms) as history:
        acknowledged = {user: [0] for user in USERS}
        assert all(await history.append([event(user, 0) for user in USERS]))
        await history.check()
        redis.replicated()
        assert lost.running is not None
        os.kill(lost.running.pid, way)
        began, refused = time.monotonic(), 0
        others = asyncio.create_task(_write(history, [user for user in USERS if user not in theirs], acknowledged))
        with pytest.raises(HistoryUnavailable, match=f"127.0.0.1:{lost.port}"):
            await history.check()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while any(len(acknowledged[user]) < 3 for user in theirs):
                for user in theirs:
                    try:
                        await history.append([event(user, len(acknowledged[user]))])
                        acknowledged[user].append(len(acknowledged[user]))
                    except HistoryUnavailable:
                        refused += 1
                await asyncio.sleep(0.02)
        keep(seconds=time.monotonic() - began, refused=refused)
        others.cancel()
        with pytest.raises(asyncio.CancelledError):  # nothing else
            await others
        await _at_last(history.check)
        for user, numbers in acknowledged.items():
            found = [item for item, _ in (await history.read(user)).visits]
            assert found[: len(numbers)] == [f"item-{number}" for number in numbers]
        assert refused


async def test_a_slot_that_moves(redis: RedisCluster) -> None:
    """Between the moment in which it may have keys at both nodes and the one in which all know the new one."""
    here = redis.node_of("ada")
    there = next(node for node in redis.primaries() if node is not here)
    async with open_history(redis.url()) as history:
        assert await history.append([event("ada", 1)]) == [True]
        old, new = redis.client(here), redis.client(there)
        slot = old.execute_command("CLUSTER KEYSLOT", KEYS.bucket_key("log", bucket_of("ada")))
        names = [client.execute_command("CLUSTER MYID").decode() for client in (old, new)]
        new.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", names[0])
        old.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", names[1])
        keys = old.execute_command("CLUSTER GETKEYSINSLOT", slot, 100)
        old.execute_command("MIGRATE", "127.0.0.1", there.port, keys[0], 0, 5_000)
        writing = asyncio.create_task(history.append([event("ada", 2)]))  # its keys are at both
        reading = asyncio.create_task(history.read("ada"))
        await asyncio.wait({writing, reading}, timeout=0.05)
        old.execute_command("MIGRATE", "127.0.0.1", there.port, "", 0, 5_000, "KEYS", *keys[1:])
        for client in (new, old):
            client.execute_command("CLUSTER SETSLOT", slot, "NODE", names[1])
        assert await writing == [True]
        await reading
        assert [item for item, _ in (await history.read("ada")).visits] == ["item-1", "item-2"]
        assert await history.append([event("ada", 1), event("ada", 3)]) == [False, True]


async def test_tls_and_the_least_rights(tmp_path: Path) -> None:
    """A user of the ACL as docs/operations.md has it."""
    certificate = make_certificate(tmp_path)
    with redis_cluster(tmp_path / "nodes", secret=True, certificate=certificate) as secret:
        for node in secret.nodes:
            give_rights(secret.client(node))
        await use_every_store(settings(secret.url(user="gemserve:shop%2F7@")), tmp_path)


async def _write(history: RedisHistory, users: list[str], acknowledged: dict[str, list[int]]) -> None:
    """One event after another of each, until it is cancelled or one is refused."""
    while True:
        for user in users:
            if len(acknowledged[user]) < 100:
                assert await history.append([event(user, len(acknowledged[user]))]) == [True]
                acknowledged[user].append(len(acknowledged[user]))
                await history.read(user)
            await asyncio.sleep(0.005)


async def _at_last(ask: Callable[[], Awaitable[None]]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            with suppress(HistoryUnavailable):
                await ask()
                return
            await asyncio.sleep(0.05)
