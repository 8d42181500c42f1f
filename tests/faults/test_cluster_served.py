"""What users notice while a primary of a Redis Cluster is away: a real server with its usual time limits, over HTTP.

Its figures stand in docs/scale.md. It needs a machine with a core to spare, as a busy one does not keep the limits.
"""

import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import httpx
import pytest

from server.core.settings import StorageSettings
from server.storage.redis_history import RedisHistory
from tests.support.redis_cluster import RedisCluster, redis_cluster
from tests.support.sentinels import until
from tests.support.server_process import ServerProcess

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.large]

USERS = [f"user-{number}" for number in range(24)]
NODE_TIMEOUT_MS = 2_000
CALMS_SECONDS = 2.0
"""Before the primary is killed, and after all is well again."""


@dataclass
class Asked:
    """One question after another about users: whether each was answered in full, and when."""

    client: httpx.Client
    users: list[str]
    ask: Callable[[httpx.Client, str, int], bool]
    answers: list[tuple[float, bool]] = field(default_factory=list)
    well: set[tuple[str, int]] = field(default_factory=set)

    def go_on(self, ended: threading.Event) -> None:
        number = 0
        while not ended.is_set():
            user, number = self.users[number % len(self.users)], number + 1
            well = self.ask(self.client, user, number)
            self.answers.append((time.monotonic(), well))
            if well:
                self.well.add((user, number))
            ended.wait(0.01)

    def failed(self) -> list[float]:
        """When."""
        return [at for at, well in self.answers if not well]


def recommend(client: httpx.Client, user: str, number: int) -> bool:
    answer = client.get("/recommend", params={"user": user})
    assert answer.status_code == 200
    return not answer.json()["degraded"]


def record(client: httpx.Client, user: str, number: int) -> bool:
    event = {"user_id": user, "type": "view", "item_id": f"item-{number % 40}", "event_id": f"e{number}"}
    answer = client.post("/events", json=event)
    assert answer.status_code in {200, 201, 202, 503}
    return answer.status_code != 503


async def test_a_primary_is_killed(tmp_path: Path, keep: Callable[..., None]) -> None:
    """Users of other shards notice nothing, its own get answers without history, and no acknowledged event is lost."""
    with redis_cluster(tmp_path / "redis") as redis:
        for node in redis.nodes:
            redis.client(node).config_set("cluster-node-timeout", NODE_TIMEOUT_MS)
        server = ServerProcess(
            *("--bundles", "unused", "--port", "0", "--redis", redis.url(), "--guidance-timeout-ms", "20000"),
            module="tests.support.fake_server",
        )
        try:
            with httpx.Client(base_url=server.url, timeout=60.0) as client:
                told = _use(client, redis, keep)
        finally:
            assert server.stop() == 0
        history = RedisHistory(StorageSettings(url=redis.url(), read_timeout_ms=20_000))
        found = {user: await history.past_events(user, 200) for user in USERS}
        await history.close()
    kept = {(user, int(event.event_id[1:])) for user, past in found.items() for event in past.events}
    assert told
    assert told - kept == set()


def _use(client: httpx.Client, redis: RedisCluster, keep: Callable[..., None]) -> set[tuple[str, int]]:
    """The events that were acknowledged."""
    lost = redis.node_of(USERS[0])
    assert lost.running is not None
    own = [user for user in USERS if redis.node_of(user) is lost]
    others = [user for user in USERS if user not in own]
    until(lambda: client.get("/health/ready").json()["status"] == "ready")
    reads, writes, own_reads, own_writes = asked = [
        Asked(client, users, ask) for users in (others, own) for ask in (recommend, record)
    ]
    ended = threading.Event()
    with ThreadPoolExecutor(len(asked)) as pool:
        going = [pool.submit(one.go_on, ended) for one in asked]
        try:
            time.sleep(CALMS_SECONDS)
            os.kill(lost.running.pid, signal.SIGKILL)
            killed = time.monotonic()
            until(lambda: f"127.0.0.1:{lost.port}" in client.get("/health/ready").text)
            until(partial(_well_again, own_reads, own_writes))
        finally:
            ended.set()
        for one in going:
            one.result()
    keep(
        acknowledged=len(writes.well | own_writes.well),
        others_reads=len(reads.answers),
        others_reads_failed=len(reads.failed()),
        others_writes=len(writes.answers),
        others_writes_failed=len(writes.failed()),
        own_reads_seconds=max(own_reads.failed()) - killed,
        own_writes_seconds=max(own_writes.failed()) - killed,
    )
    assert not reads.failed()
    assert not writes.failed()
    return writes.well | own_writes.well


def _well_again(*asked: Asked) -> bool:
    """Each was answered badly, and then well for a while."""
    now = time.monotonic()
    return all(one.failed() and now - one.failed()[-1] > CALMS_SECONDS for one in asked)
