"""Nothing is lost and nothing counts twice, whatever fails and wherever the consumer is killed."""

import asyncio
import json
from collections.abc import Iterator, Sequence

import pytest
from confluent_kafka import KafkaError, KafkaException
from hypothesis import given
from hypothesis import strategies as st

from server.api.event_check import Fault
from server.cli.kafka import consumer as module
from server.cli.kafka.consumer import EventConsumer
from server.cli.kafka.dead_letters import DeadLettersUnavailable
from server.cli.kafka.records import Record
from server.core.errors import HistoryUnavailable
from server.storage.protocol import Event
from tests.support.kafka import MemoryConsumer, Topics
from tests.support.killed import Killed
from tests.support.memory_history import MemoryHistory

GOOD, BAD = b'{"user_id": "ada", "item_id": "tent", "type": "view"}', b"no event"


class FailingHistory(MemoryHistory):
    """fates: of each call how many events it writes before it fails; None where it does not."""

    def __init__(self, fates: Iterator[int | None], how: type[BaseException]) -> None:
        super().__init__()
        self.fates, self.how = fates, how

    async def append(self, events: Sequence[Event]) -> list[bool]:
        fate = next(self.fates, None)
        if fate is None:
            return await super().append(events)
        await super().append(events[:fate])
        raise self.how


class Letters:
    """Dead letters in memory. fails: what the next writes do."""

    def __init__(self, fails: Sequence[bool]) -> None:
        self.fails, self.places = list(fails), list[str]()

    def write(self, letters: Sequence[tuple[Record, Fault]]) -> None:
        self.places += [record.place for record, _ in letters]
        if self.fails and self.fails.pop(0):
            raise DeadLettersUnavailable("the test took them away")


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.0)
    monkeypatch.setattr(module, "MAX_MESSAGES", 7)
    monkeypatch.setattr(module, "AT_ONCE", 3)


async def until_committed(topics: Topics, consumer: EventConsumer) -> None:
    """Has it run until all messages of the topics are committed."""
    stopping = asyncio.Event()
    running = asyncio.create_task(consumer.run(stopping))
    whole = {place: len(values) for place, values in topics.messages.items() if values}
    while topics.committed != whole and not running.done():
        await asyncio.sleep(0)
    stopping.set()
    await running


def places_of(topics: Topics, value: bytes) -> set[str]:
    return {
        f"{topic}/{partition}/{offset}"
        for (topic, partition), values in topics.messages.items()
        for offset, one in enumerate(values)
        if one == value
    }


VALUES = st.lists(st.sampled_from([GOOD, GOOD, BAD]), max_size=12)
FATES = st.lists(st.none() | st.integers(0, 3), max_size=6)
FAILS = st.lists(st.booleans(), max_size=4)


@given(partitions=st.lists(VALUES, min_size=1, max_size=3), fates=FATES, letters=FAILS, commits=FAILS)
async def test_every_event_stands_once_and_every_dead_letter_is_written(
    partitions: list[list[bytes]], fates: list[int | None], letters: list[bool], commits: list[bool]
) -> None:
    topics = Topics({("events", number): values for number, values in enumerate(partitions)})
    history, dead = FailingHistory(iter(fates), HistoryUnavailable), Letters(letters)
    await until_committed(topics, EventConsumer(MemoryConsumer(topics, fails=commits), history, dead))
    assert sorted(event.event_id for event in history.events) == sorted(places_of(topics, GOOD))
    assert set(dead.places) == places_of(topics, BAD)


@given(values=st.lists(st.sampled_from([GOOD, GOOD, BAD]), min_size=1, max_size=20), fates=FATES)
async def test_a_consumer_that_is_killed_anywhere_leaves_the_rest_to_the_next(
    values: list[bytes], fates: list[int | None]
) -> None:
    topics = Topics({("events", 0): values})
    history, dead = FailingHistory(iter(fates), Killed), Letters([])
    while True:
        try:
            await until_committed(topics, EventConsumer(MemoryConsumer(topics), history, dead))
        except Killed:
            continue
        break
    assert sorted(event.event_id for event in history.events) == sorted(places_of(topics, GOOD))
    assert set(dead.places) == places_of(topics, BAD)


async def test_events_of_a_partition_are_written_in_their_order() -> None:
    values = [json.dumps({"user_id": "ada", "item_id": f"i{n}", "type": "view"}).encode() for n in range(20)]
    topics = Topics({("events", 0): values})
    history = FailingHistory(iter([None, 1, None, 0, 2]), HistoryUnavailable)
    await until_committed(topics, EventConsumer(MemoryConsumer(topics), history, Letters([])))
    assert [event.item_id for event in history.events] == [f"i{n}" for n in range(20)]


async def test_an_error_from_which_kafka_recovers_costs_nothing() -> None:
    topics = Topics({("events", 0): [GOOD]})
    consumer = MemoryConsumer(topics, error=KafkaError(KafkaError.LEADER_NOT_AVAILABLE))
    history = MemoryHistory()
    await until_committed(topics, EventConsumer(consumer, history, Letters([])))
    assert len(history.events) == 1


async def test_a_fatal_error_ends_it() -> None:
    topics = Topics({("events", 0): [GOOD]})
    consumer = MemoryConsumer(topics, error=KafkaError(KafkaError.FENCED_INSTANCE_ID, "another one", fatal=True))
    with pytest.raises(KafkaException, match="another one"):
        await until_committed(topics, EventConsumer(consumer, MemoryHistory(), Letters([])))
    assert topics.committed == {}
