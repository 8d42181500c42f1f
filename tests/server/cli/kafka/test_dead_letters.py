"""Dead letters on brokers that speak Kafka's protocol."""

import pytest
from confluent_kafka import Producer

from server.api.event_check import Fault
from server.cli.kafka.dead_letters import DeadLetters, DeadLettersUnavailable
from server.cli.kafka.records import Record
from tests.support.kafka import Brokers, brokers

__all__ = ["brokers"]

FAULT = Fault(None, "malformed_json", "the message is not valid JSON")
OURS = {
    "gemserve.topic": b"events",
    "gemserve.partition": b"2",
    "gemserve.offset": b"7",
    "gemserve.code": b"malformed_json",
    "gemserve.reason": b"the message is not valid JSON",
}


def record(value: bytes) -> Record:
    return Record("events", 2, 7, None, b"ada", value, (("trace", b"1"),))


def test_a_message_goes_as_it_came_and_one_that_is_too_large_by_its_place(brokers: Brokers) -> None:
    brokers.create("dead")
    letters = DeadLetters(Producer({"bootstrap.servers": brokers.servers, "message.max.bytes": 2_000}), "dead")
    letters.write([(record(b"x" * 5_000), FAULT), (record(b"{"), FAULT)])
    small, large = sorted(brokers.read("dead"), key=lambda letter: letter.value() is None)
    assert (small.value(), small.key(), dict(small.headers())) == (b"{", b"ada", {"trace": b"1", **OURS})
    assert (large.value(), large.key(), dict(large.headers())) == (None, None, OURS)


def test_brokers_that_do_not_answer() -> None:
    letters = DeadLetters(Producer({"bootstrap.servers": "127.0.0.1:1", "message.timeout.ms": 50}), "dead")
    with pytest.raises(DeadLettersUnavailable, match=r"2 messages could not be written to dead: .*timed out"):
        letters.write([(record(b"{"), FAULT), (record(b"}"), FAULT)])
