"""Takes events from topics: what is acknowledged in Kafka has been written, however often it had to be read.

Messages come in batches. The events of a batch are written to the history store, its other messages to the topic of
dead letters, and only then its offsets are committed. Whatever fails before has the batch read again, from wherever it
was killed or from the start after a rebalance, and the history store knows by their ids the events that it has.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import structlog

from server.api.event_check import Fault
from server.cli.kafka.dead_letters import DeadLetters, DeadLettersUnavailable
from server.cli.kafka.records import Record, read_event, record_of
from server.core import metrics
from server.core.errors import HistoryUnavailable
from server.storage.protocol import Event, HistoryStore

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Message, TopicPartition

__all__ = ["EventConsumer"]

MAX_MESSAGES = 500  # of a batch
AT_ONCE = 100  # events in one call of the history store, whose time limit is that of each call
POLL_SECONDS = 0.5
RETRY_SECONDS = 1.0

log = structlog.get_logger(__name__)

Place = tuple[str, int]
"""A partition: its topic and its number."""


class EventConsumer:
    """Takes the events of the topics that a consumer of Kafka is subscribed to."""

    def __init__(self, consumer: Consumer, history: HistoryStore, dead_letters: DeadLetters) -> None:
        """
        consumer: subscribed, and without commits or stored offsets of its own.
        """
        self._consumer = consumer
        self._history = history
        self._dead_letters = dead_letters
        self._uncommitted: dict[Place, int] = {}
        """Of each partition, the offset before which everything is written, where a commit has yet to say so."""

    async def run(self, stopping: asyncio.Event) -> None:
        """Goes on until `stopping` is set, and then ends the batch in hand.

        Raises KafkaException where Kafka does not let this consumer go on.
        """
        while not stopping.is_set():
            messages = await asyncio.to_thread(self._consumer.consume, MAX_MESSAGES, POLL_SECONDS)
            records = [record_of(message) for message in messages if _is_record(message)]
            try:
                await self._write(records)
            except (HistoryUnavailable, DeadLettersUnavailable) as error:
                reason = "redis" if isinstance(error, HistoryUnavailable) else "dead_letters"
                metrics.KAFKA_FAILURES.labels(reason).inc()
                log.warning("messages_are_read_again", messages=len(records), reason=str(error))
                await asyncio.to_thread(self._read_again, records)
                await _wait(stopping, RETRY_SECONDS)
                continue
            self._uncommitted |= {(record.topic, record.partition): record.offset + 1 for record in records}
            await asyncio.to_thread(self._commit)
            metrics.KAFKA_LAG.set(await asyncio.to_thread(self._lag))

    async def _write(self, records: Sequence[Record]) -> None:
        """Writes events and dead letters. Raises HistoryUnavailable and DeadLettersUnavailable."""
        now = time.time_ns() // 1_000_000
        read = [(record, read_event(record, now)) for record in records]
        events = [event for _, event in read if isinstance(event, Event)]
        for start in range(0, len(events), AT_ONCE):
            new = await self._history.append(events[start : start + AT_ONCE])
            metrics.EVENTS.labels("accepted").inc(sum(new))
            metrics.EVENTS.labels("duplicate").inc(len(new) - sum(new))
        letters = [(record, fault) for record, fault in read if isinstance(fault, Fault)]
        if not letters:
            return
        await asyncio.to_thread(self._dead_letters.write, letters)
        for record, fault in letters:
            metrics.EVENTS.labels("rejected").inc()
            metrics.REJECTED_EVENTS.labels(fault.code).inc()
            log.warning("dead_letter", place=record.place, field=fault.field, code=fault.code)

    def _read_again(self, records: Sequence[Record]) -> None:
        """Has the consumer go back to the first of these messages; of a partition that it lost, another one does.

        Raises KafkaException, without which the next commit would pass over them.
        """
        from confluent_kafka import TopicPartition

        first = {(record.topic, record.partition): record.offset for record in reversed(records)}
        held = {_place(partition) for partition in self._consumer.assignment()}
        for (topic, partition), offset in first.items():
            if (topic, partition) in held:
                self._consumer.seek(TopicPartition(topic, partition, offset))

    def _commit(self) -> None:
        """Commits what is written. What fails is tried again at the next batch, with what was written until then."""
        from confluent_kafka import KafkaException, TopicPartition

        held = {_place(partition) for partition in self._consumer.assignment()}
        self._uncommitted = {place: offset for place, offset in self._uncommitted.items() if place in held}
        if not self._uncommitted:
            return
        offsets = [TopicPartition(topic, number, offset) for (topic, number), offset in self._uncommitted.items()]
        try:
            committed = self._consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            metrics.KAFKA_FAILURES.labels("commit").inc()
            log.warning("offsets_not_committed", reason=error.args[0].str())
            return
        for partition in committed:
            if partition.error is None:
                self._uncommitted.pop(_place(partition), None)

    def _lag(self) -> int:
        """How many messages of the partitions that it has are behind what it has read, as far as it knows."""
        from confluent_kafka import KafkaException

        behind = 0
        with contextlib.suppress(KafkaException):  # a partition that it loses at this moment
            for partition in self._consumer.position(self._consumer.assignment()):
                _, end = self._consumer.get_watermark_offsets(partition, cached=True)
                behind += max(0, end - partition.offset) if partition.offset >= 0 else 0
        return behind


def _place(partition: TopicPartition) -> Place:
    return partition.topic, partition.partition


def _is_record(message: Message) -> bool:
    """False for what tells of an error, from which the consumer recovers by itself. Raises KafkaException if not."""
    from confluent_kafka import KafkaException

    error = message.error()
    if error is None:
        return True
    metrics.KAFKA_FAILURES.labels("broker").inc()
    log.warning("kafka_failed", reason=error.str())
    if error.fatal():
        raise KafkaException(error)
    return False


async def _wait(stopping: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stopping.wait(), seconds)
