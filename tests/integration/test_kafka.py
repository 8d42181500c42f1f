"""`gemserve consume` on brokers that speak Kafka's protocol and a real Redis: each event once, whatever dies."""

import asyncio
import contextlib
import json
import shlex
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path

import httpx
import pytest
from confluent_kafka import Consumer, Producer
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis

from server.cli.kafka.consume import CONSUMER, OURS
from server.cli.kafka.consumer import EventConsumer
from server.cli.kafka.dead_letters import DeadLetters
from server.core.errors import HistoryUnavailable
from server.storage.keyspace import BUCKETS, KEYS
from server.storage.managed_redis import free_port
from server.storage.protocol import Event
from server.storage.redis_history import RedisHistory
from tests.docs.examples import examples_of
from tests.faults.proxy import Proxy
from tests.support.kafka import PARTITIONS, Brokers, brokers
from tests.support.processes import Process
from tests.support.redis_store import Connect

__all__ = ["brokers"]

pytestmark = [pytest.mark.integration, pytest.mark.slow]

USERS = [f"user-{number}" for number in range(5)]
SESSION = {"session.timeout.ms": "6000", "heartbeat.interval.ms": "500"}
"""How soon the brokers give up a consumer that was killed."""
SECONDS = 120.0
DOCUMENTED = next(one.text for one in examples_of(Path("docs/data.md")) if one.text.startswith("gemserve consume"))


def views(count: int, first: int = 0) -> list[bytes]:
    rows = [{"user_id": USERS[n % 5], "item_id": f"i{n}", "type": "view"} for n in range(first, first + count)]
    return [json.dumps(row).encode() for row in rows]


def logged(redis: Redis) -> list[str]:
    """The items of all events of the log."""
    logs = [redis.xrange(KEYS.bucket_key("log", bucket)) for bucket in range(BUCKETS)]
    return sorted(fields[b"item_id"].decode() for log in logs for _, fields in log)


def remembered(redis: Redis) -> list[str]:
    """The items of all histories, as often as they stand there."""
    histories = [redis.zrange(KEYS.user_key("history", user), 0, -1) for user in USERS]
    return sorted(json.loads(member[10:])[0] for history in histories for member in history)


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    with Redis.from_url(redis_url) as client:
        yield client


async def until(condition: Callable[[], object], what: str) -> None:
    for _ in range(int(SECONDS / 0.05)):
        if await asyncio.to_thread(condition):
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"{what}: not within {SECONDS:g} s")


@contextlib.contextmanager
def consume(brokers: Brokers, topic: str, redis: str, folder: Path, metrics_port: int) -> Iterator[Process]:
    """The command of docs/data.md, with addresses of its own. It is killed at the end of the block."""
    config = folder / "kafka.properties"
    config.write_text("".join(f"{name}={value}\n" for name, value in SESSION.items()))
    said = ["--kafka-config", str(config), "--group", topic]
    there = {"kafka-1:9092,kafka-2:9092": brokers.servers, "events": topic, "events-dead-letters": f"{topic}-dead"}
    there |= {"redis://redis:6379/0": redis, "9100": str(metrics_port)}
    documented = [there.pop(word, word) for word in shlex.split(DOCUMENTED.replace("\\\n", " "))]
    assert not there, "the example of docs/data.md names other things"
    patient = {"GEMSERVE_REDIS_WRITE_TIMEOUT_MS": "120000", "PATH": ""}
    process = Process("-m", *documented, *said, environment=patient)
    try:
        yield process
    finally:
        process.kill()
        process.communicate(60)


async def test_a_consumer_killed_in_the_middle_of_a_batch(
    brokers: Brokers, redis: Redis, redis_url: str, tmp_path: Path
) -> None:
    brokers.create("killed", "killed-dead")
    good, bad = views(400), [b"no event", None, b'{"user_id": "ada"}']
    brokers.send("killed", good[:300] + bad, partition=1)
    brokers.send("killed", good[300:])
    everything = sorted(f"i{number}" for number in range(400))
    proxy = Proxy(redis.get_connection_kwargs()["port"], delay=lambda: 3600.0 if logged(redis) else 0.0)
    async with proxy.running():  # Redis has some of the events, and the consumer never hears of it
        with consume(brokers, "killed", f"redis://127.0.0.1:{proxy.port}", tmp_path, free_port()) as killed:
            await until(lambda: logged(redis), "first events in the log")
            killed.kill()
    assert 0 < len(logged(redis)) < 400
    assert brokers.committed("killed", "killed") == [0] * PARTITIONS
    port = free_port()
    with consume(brokers, "killed", redis_url, tmp_path, port) as second:
        await until(lambda: sum(brokers.committed("killed", "killed")) == 403, "everything committed")
        figures = httpx.get(f"http://127.0.0.1:{port}/metrics").text
        second.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(second.wait, SECONDS) == 0
    assert logged(redis) == everything
    assert remembered(redis) == everything
    families = {family.name: family for family in text_string_to_metric_families(figures)}
    counted = {
        sample.labels["result"]: sample.value
        for sample in families["gemserve_events"].samples
        if sample.name.endswith("_total")
    }
    assert counted["accepted"] + counted["duplicate"] == 400
    assert counted["duplicate"] > 0
    assert counted["rejected"] == 3
    letters = {letter.value(): dict(letter.headers()) for letter in brokers.read("killed-dead")}
    assert letters.keys() == set(bad)
    told = letters[b"no event"]
    assert (told["gemserve.topic"], told["gemserve.partition"], told["gemserve.offset"]) == (b"killed", b"1", b"300")
    assert told["gemserve.code"] == b"malformed_json"
    assert b"type: Field required" in letters[bad[2]]["gemserve.reason"]


class Stumbling:
    """Writes half of the events, and says that it could not, the first time that a call begins with an event."""

    def __init__(self, history: RedisHistory) -> None:
        self.history, self.stumbled = history, set[str]()

    async def append(self, events: Sequence[Event]) -> list[bool]:
        if events[0].event_id in self.stumbled:
            return await self.history.append(events)
        self.stumbled.add(events[0].event_id)
        await self.history.append(events[: len(events) // 2])
        raise HistoryUnavailable("the test took Redis away")


async def test_consumers_that_come_and_go_and_a_redis_too(
    brokers: Brokers, connect: Connect, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second takes over partitions from the first in the middle of the messages, and at its end gives them back."""
    monkeypatch.setattr("server.cli.kafka.consumer.RETRY_SECONDS", 0.05)
    brokers.create("shared", "shared-dead")
    own = {"bootstrap.servers": brokers.servers, "group.id": "shared", **SESSION}
    history = Stumbling(connect())

    @contextlib.asynccontextmanager
    async def consumer() -> AsyncIterator[Consumer]:
        one = Consumer({**own, **CONSUMER, **OURS})
        one.subscribe(["shared"])
        letters = DeadLetters(Producer({"bootstrap.servers": brokers.servers}), "shared-dead")
        stopping = asyncio.Event()
        running = asyncio.create_task(EventConsumer(one, history, letters).run(stopping))
        try:
            yield one
        finally:
            stopping.set()
            await running
            await asyncio.to_thread(one.close)

    async with consumer() as first:
        brokers.send("shared", views(200))
        await until(lambda: logged(redis), "first events")
        async with consumer() as second:
            brokers.send("shared", views(200, first=200))
            await until(lambda: first.assignment() and second.assignment(), "partitions at both")
            brokers.send("shared", views(200, first=400))
            await until(lambda: sum(brokers.committed("shared", "shared")) == 600, "everything committed")
        brokers.send("shared", views(200, first=600))
        await until(lambda: sum(brokers.committed("shared", "shared")) == 800, "the rest committed")
    everything = sorted(f"i{number}" for number in range(800))
    assert logged(redis) == everything
    assert remembered(redis) == everything
    assert brokers.read("shared-dead") == []
