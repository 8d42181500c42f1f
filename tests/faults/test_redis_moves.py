"""The primary is demoted and its name leads elsewhere, as after a failover: connections to the wrong Redis are dropped.

The name is a proxy's address, which leads new connections to another Redis while old ones stay where they are.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis import Redis

from catalog.data.changes import Delete
from catalog.data.events import EventType
from server.core.errors import HistoryUnavailable
from server.core.settings import StorageSettings
from server.storage.event_log import RedisEventLog
from server.storage.managed_redis import free_port, managed_redis
from server.storage.primary import pool
from server.storage.protocol import Event
from server.storage.redis_history import RedisHistory
from server.storage.shared.change_log import RedisChanges
from server.storage.shared.state import RedisSplit
from tests.integration.test_redis_faults import EVENT, open_shop
from tests.support.problems import assert_problem

pytestmark = pytest.mark.integration


class Name:
    """An address whose new connections go to the port that it names now."""

    def __init__(self) -> None:
        self.leads_to = 0
        self.port = free_port()
        self.made = 0

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Name"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        try:
            yield self
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.made += 1
        there, back = await asyncio.open_connection("127.0.0.1", self.leads_to)
        await asyncio.gather(_copy(reader, back), _copy(there, writer), return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


WITHOUT_WAITING = {"repl-diskless-sync-delay": 0, "shutdown-timeout": 0, "appendonly": "no"}
"""Else a replica begins after five seconds, and whoever ends waits for one, or for the first file it appends to."""


@pytest.fixture
def ports(tmp_path: Path) -> Iterator[tuple[int, int]]:
    first, second = free_port(), free_port()
    with managed_redis(tmp_path / "first", first), managed_redis(tmp_path / "second", second):
        for port in first, second:
            with Redis(port=port) as client:
                for name, value in WITHOUT_WAITING.items():
                    client.config_set(name, value)
        yield first, second


def demote(port: int, primary: int, way: str = "replica") -> None:
    """From now on this Redis says READONLY to writes; with `down`, MASTERDOWN to everything."""
    with Redis(port=port) as client:
        if way == "down":
            client.config_set("replica-serve-stale-data", "no")
            client.slaveof("127.0.0.1", free_port())  # where nobody is
        else:
            client.slaveof("127.0.0.1", primary)


@pytest.mark.parametrize("way", ["replica", "down"])
async def test_events_follow_the_name_to_the_new_primary(ports: tuple[int, int], tmp_path: Path, way: str) -> None:
    first, second = ports
    async with Name().open() as name:
        name.leads_to = first
        async with open_shop(tmp_path, name.port) as shop:
            assert (await shop.post(EVENT)).status_code == 202
            assert (await shop.get("/health/ready")).json()["status"] == "ready"
            demote(first, second, way)
            name.leads_to = second
            assert (await shop.post(EVENT | {"event_id": "e2"})).status_code == 202
            assert (await shop.get("/health/ready")).json()["status"] == "ready"
    with Redis(port=second) as client:
        assert sum(client.xlen(key) for key in client.keys("*:log")) == 1


@pytest.mark.parametrize("way", ["replica", "down"])
async def test_ready_says_that_redis_takes_no_writes_until_it_does(
    ports: tuple[int, int], tmp_path: Path, way: str
) -> None:
    first, second = ports
    async with Name().open() as name:
        name.leads_to = first
        async with open_shop(tmp_path, name.port) as shop:
            assert (await shop.post(EVENT)).status_code == 202
            demote(first, second, way)
            assert_problem(await shop.post(EVENT | {"event_id": "e2"}), 503, "history_unavailable")
            answer = (await shop.get("/health/ready")).json()
            assert answer["status"] == "degraded"
            assert answer["checks"]["redis"].startswith("Redis failed: ")
            name.leads_to = second
            assert (await shop.get("/health/ready")).json()["status"] in {"ready", "degraded"}
            assert (await shop.get("/health/ready")).json()["status"] == "ready"
            assert (await shop.post(EVENT | {"event_id": "e2"})).status_code == 202


async def test_histories_are_read_from_the_new_primary_too(ports: tuple[int, int]) -> None:
    """The replica would go on answering reads for ever, from what it last knew."""
    first, second = ports
    async with Name().open() as name:
        name.leads_to = first
        history = RedisHistory(StorageSettings(url=f"redis://127.0.0.1:{name.port}/0", connections=2))
        await history.check()
        demote(first, second)
        with pytest.raises(HistoryUnavailable):
            await history.check()
        name.leads_to = second
        made = name.made
        await history.check()
        assert name.made == made + 1
        await history.close()


async def test_changes_of_items_and_the_split_follow_the_name(ports: tuple[int, int]) -> None:
    first, second = ports
    async with Name().open() as name:
        name.leads_to = first
        settings = StorageSettings(url=f"redis://127.0.0.1:{name.port}/0")
        changes, split = RedisChanges(settings), RedisSplit(settings)
        assert await changes.write({"a": Delete("a")}, expected=0, number=1)
        assert await split.write({"a": 1}, expected=0, number=1)
        with Redis(port=first) as old, Redis(port=second) as new:
            new.slaveof("127.0.0.1", first)
            while not old.wait(1, 100):
                pass
            new.slaveof("NO", "ONE")
        demote(first, second)
        name.leads_to = second
        assert await changes.write({"a": Delete("a")}, expected=1, number=2)
        assert await split.write({"a": 1}, expected=1, number=2)
        await changes.close()
        await split.close()


async def test_whoever_only_reads_follows_the_name_too(ports: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """The demoted server goes on answering reads well; without a write nobody would hear READONLY."""
    monkeypatch.setattr(pool, "LOOK_SECONDS", 0.0)
    first, second = ports
    async with Name().open() as name:
        name.leads_to = first
        settings = StorageSettings(url=f"redis://127.0.0.1:{name.port}/0")
        there = StorageSettings(url=f"redis://127.0.0.1:{second}/0")
        log, changes, split = RedisEventLog(settings), RedisChanges(settings), RedisSplit(settings)
        began = await log.begin(0, 100)
        assert not (await changes.since(0)).changes
        assert (await split.read()).number == 0
        writers = RedisHistory(there), RedisChanges(there), RedisSplit(there)
        await writers[0].append([Event("ada", "a", 1_700_000_000_000, EventType.VIEW, "e1", None, None)])
        assert await writers[1].write({"a": Delete("a")}, expected=0, number=1)
        assert await writers[2].write({"a": 1}, expected=0, number=1)
        demote(first, free_port())
        name.leads_to = second
        assert len((await log.since(began.position, 0)).events) == 1
        assert "a" in (await changes.since(0)).changes
        assert (await split.read()).number == 1
        for store in (log, changes, split, *writers):
            await store.close()


async def test_a_full_memory_is_not_ready_and_keeps_its_connections(ports: tuple[int, int]) -> None:
    """OOM is the right server's: connections stay, and it is ready again by itself."""
    first, _ = ports
    async with Name().open() as name:
        name.leads_to = first
        history = RedisHistory(StorageSettings(url=f"redis://127.0.0.1:{name.port}/0", connections=2))
        await history.check()
        with Redis(port=first) as client:
            client.config_set("maxmemory", "1")
            with pytest.raises(HistoryUnavailable, match="used memory > 'maxmemory'"):
                await history.check()
            client.config_set("maxmemory", "0")
        await history.check()
        await history.close()
