"""The server is killed while it is written to: what it acknowledged is there once, what it did not can be repeated."""

import json
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis import Redis

from server.storage.keyspace import BUCKETS, KEYS
from server.storage.managed_redis import free_port
from server.storage.redis_history import RUN_DIGITS
from tests.support.server_process import ServerProcess

pytestmark = pytest.mark.integration

WRITERS = 8
EDITED = ["item-9", "item-10"]


@dataclass
class Writer:
    """Sends events of its own user, one after another, some in lists, until the server does not answer."""

    user: str
    acknowledged: list[str] = field(default_factory=list)
    unsure: list[dict[str, str]] = field(default_factory=list)
    """Events of the request that was never answered."""
    sent: int = 0

    def write(self, client: httpx.Client) -> None:
        while not self.unsure:
            size = 1 if self.sent % 3 else 5
            events = [
                {"user_id": self.user, "type": "view", "item_id": f"item-{6 + n % 10}", "event_id": f"{self.user}-{n}"}
                for n in range(self.sent, self.sent + size)
            ]
            self.sent += size
            self.unsure = events
            try:
                response = taken(partial(client.post, "/events", json=events))
            except httpx.TransportError:
                return
            assert response.status_code == 202, response.text
            self.took(events)

    def took(self, events: list[dict[str, str]]) -> None:
        self.acknowledged += [event["event_id"] for event in events]
        self.unsure = []


@dataclass
class Editor:
    """Sets the price of an item to ever higher numbers, until the server does not answer."""

    item: str
    acknowledged: int = 0
    sent: int = 0

    def write(self, client: httpx.Client) -> None:
        while self.sent == self.acknowledged:
            self.sent += 1
            try:
                edited = {"title": "Edited", "price": float(self.sent)}
                response = taken(partial(client.put, f"/items/{self.item}", json=edited))
            except httpx.TransportError:
                return
            assert response.status_code == 200, response.text
            self.acknowledged = self.sent


def in_the_log(port: int) -> Counter[str]:
    with Redis(port=port, decode_responses=True) as client:
        entries = [entry for bucket in range(BUCKETS) for entry in client.xrange(KEYS.bucket_key("log", bucket))]
    return Counter(fields["event_id"] for _, fields in entries)


def in_histories(port: int, writers: list[Writer]) -> Counter[str]:
    with Redis(port=port, decode_responses=True) as client:
        members = [one for writer in writers for one in client.zrange(KEYS.user_key("history", writer.user), 0, -1)]
    return Counter(json.loads(member[RUN_DIGITS:])[3] for member in members)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[int], ServerProcess]]:
    """Starts servers over one Redis folder, one after another, with a Redis at a port."""
    started: list[ServerProcess] = []

    def start(redis_port: int) -> ServerProcess:
        options = ("--bundles", "unused", "--port", "0", "--managed-redis", tmp_path)
        more = (
            "--managed-redis-port",
            redis_port,
            "--history-length",
            "10000",
            "--event-ids",
            "100000",
            "--open-admin",
            "true",
            "--log-level",
            "error",
        )
        started.append(ServerProcess(*options, *more, module="tests.support.fake_server", imported="server"))
        return started[-1]

    yield start
    for process in started:
        process.stop()


def taken(ask: Callable[[], httpx.Response]) -> httpx.Response:
    """The answer, asked for again while a busy machine's Redis takes longer than its limit."""
    while (answer := ask()).status_code == 503:
        time.sleep(0.1)
    return answer


def history_of(client: httpx.Client, user: str) -> dict[str, Any]:
    """The answer's body."""
    answer = taken(partial(client.get, f"/users/{user}/history"))
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


@pytest.mark.parametrize("rounds", [1, pytest.param(5, marks=pytest.mark.slow)])
def test_what_was_acknowledged_outlives_a_killed_server_exactly_once(
    rounds: int, start: Callable[[int], ServerProcess], keep: Callable[..., None]
) -> None:
    port, chance = free_port(), random.Random(11)
    writers = [Writer(f"user-{n}") for n in range(WRITERS)]
    editors = [Editor(item) for item in EDITED]
    process = start(port)
    seconds = []
    for _ in range(rounds):
        with httpx.Client(base_url=process.url, timeout=60) as client:
            before = sum(len(writer.acknowledged) for writer in writers)
            threads = [threading.Thread(target=one.write, args=(client,)) for one in [*writers, *editors]]
            for thread in threads:
                thread.start()
            while sum(len(writer.acknowledged) for writer in writers) < before + 50 or not all(
                editor.acknowledged for editor in editors
            ):
                assert all(thread.is_alive() for thread in threads), "one of them was refused"
                time.sleep(0.01)
            time.sleep(chance.uniform(0.0, 0.5))
            os.kill(process.pid, signal.SIGKILL)
            for thread in threads:
                thread.join()
        process.stop()
        began = time.monotonic()
        process = start(port)
        seconds.append(time.monotonic() - began)
        with httpx.Client(base_url=process.url, timeout=60) as client:
            acknowledged = {event_id for writer in writers for event_id in writer.acknowledged}
            for found in (in_the_log(port), in_histories(port, writers)):
                assert acknowledged <= set(found)
                assert set(found.values()) == {1}
            for writer in writers:
                assert taken(partial(client.post, "/events", json=writer.unsure)).status_code == 202
                writer.took(writer.unsure)
            everything = Counter(event_id for writer in writers for event_id in writer.acknowledged)
            assert in_the_log(port) == in_histories(port, writers) == everything
            totals = [history_of(client, writer.user)["total"] for writer in writers]
            assert totals == [len(writer.acknowledged) for writer in writers]
            for editor in editors:
                price = client.get(f"/items/{editor.item}").json()["price"]
                assert editor.acknowledged <= price <= editor.sent
                editor.acknowledged = editor.sent = int(price)
    assert process.stop() == 0
    keep(events=sum(len(writer.acknowledged) for writer in writers), restart_seconds=max(seconds))
