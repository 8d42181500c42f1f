"""Kafka for tests: brokers of librdkafka, which speak the protocol, and topics in memory, where anything may fail."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

PARTITIONS = 4  # of a topic that the brokers make
SECONDS = 60.0


@dataclass(frozen=True)
class Brokers:
    """Brokers in this process, to which others connect too. servers: their addresses."""

    servers: str

    def create(self, *topics: str) -> None:
        """Topics of PARTITIONS partitions."""
        admin = Producer({"bootstrap.servers": self.servers})
        for topic in topics:
            while topic not in (known := admin.list_topics(topic, SECONDS).topics) or known[topic].error is not None:
                pass

    def send(self, topic: str, values: Sequence[bytes | None], *, partition: int | None = None) -> None:
        """One message for each value, to the partitions in turn or to one of them."""
        producer = Producer({"bootstrap.servers": self.servers, "enable.idempotence": True})
        for number, value in enumerate(values):
            producer.produce(topic, value, partition=number % PARTITIONS if partition is None else partition)
        assert producer.flush(SECONDS) == 0

    def committed(self, group: str, topic: str) -> list[int]:
        """Offsets of the partitions; 0 where none was committed."""
        with self._reader(group) as reader:
            found = reader.committed([TopicPartition(topic, number) for number in range(PARTITIONS)], SECONDS)
        return [max(0, partition.offset) for partition in found]

    def read(self, topic: str) -> list[Message]:
        """All messages that a topic has."""
        found: list[Message] = []
        with self._reader("looks") as reader:
            everywhere = [TopicPartition(topic, number, 0) for number in range(PARTITIONS)]
            total = sum(reader.get_watermark_offsets(partition, SECONDS)[1] for partition in everywhere)
            reader.assign(everywhere)
            while len(found) < total:
                found += [message for message in reader.consume(total, 1.0) if message.error() is None]
        return found

    @contextmanager
    def _reader(self, group: str) -> Iterator[Consumer]:
        reader = Consumer({"bootstrap.servers": self.servers, "group.id": group, "enable.auto.commit": False})
        try:
            yield reader
        finally:
            reader.close()


@pytest.fixture(scope="session")
def brokers() -> Iterator[Brokers]:
    owner = Producer({"bootstrap.servers": "none", "test.mock.num.brokers": 2})
    there = owner.list_topics(timeout=SECONDS).brokers.values()
    yield Brokers(",".join(f"{broker.host}:{broker.port}" for broker in there))
    owner.close()


@dataclass
class Topics:
    """Partitions of messages, and how far a group has committed them."""

    messages: dict[tuple[str, int], list[bytes | None]]
    committed: dict[tuple[str, int], int] = field(default_factory=dict)


class MemoryConsumer:
    """What an EventConsumer uses of `confluent_kafka.Consumer`, on topics in memory. It has all partitions.

    fails: what the next commits do. error: what it hands out, once, in the place of messages.
    """

    def __init__(self, topics: Topics, *, fails: Sequence[bool] = (), error: KafkaError | None = None) -> None:
        self._topics = topics
        self._positions = {place: topics.committed.get(place, 0) for place in topics.messages}
        self._fails = list(fails)
        self._error = error

    def consume(self, most: int, _: float) -> list[Message]:
        if self._error is not None:
            error, self._error = self._error, None
            return [Message(error=error)]
        found: list[Message] = []
        for (topic, partition), values in self._topics.messages.items():
            start = self._positions[topic, partition]
            taken = values[start : start + most - len(found)]
            self._positions[topic, partition] += len(taken)
            found += [
                Message(topic=topic, partition=partition, offset=start + place, value=value, timestamp=(0, -1))
                for place, value in enumerate(taken)
            ]
        return found

    def assignment(self) -> list[TopicPartition]:
        return [TopicPartition(*place) for place in self._topics.messages]

    def position(self, partitions: Sequence[TopicPartition]) -> list[TopicPartition]:
        return [
            TopicPartition(one.topic, one.partition, self._positions[one.topic, one.partition]) for one in partitions
        ]

    def get_watermark_offsets(self, partition: TopicPartition, *, cached: bool) -> tuple[int, int]:
        assert cached, "a question to the brokers for each batch would hold it up"
        return 0, len(self._topics.messages[partition.topic, partition.partition])

    def seek(self, partition: TopicPartition) -> None:
        self._positions[partition.topic, partition.partition] = partition.offset

    def commit(self, *, offsets: Sequence[TopicPartition], asynchronous: bool) -> list[TopicPartition]:
        assert not asynchronous
        if self._fails and self._fails.pop(0):
            raise KafkaException(KafkaError(KafkaError.REBALANCE_IN_PROGRESS))
        for one in offsets:
            self._topics.committed[one.topic, one.partition] = one.offset
        return list(offsets)
