"""What is in a message: an event, or why it is none."""

import json

import pytest

from catalog.data.events import EventType
from server.api.event_check import Fault
from server.cli.kafka.records import Record, read_event
from server.storage.protocol import Event

SENT, NOW = 1_750_000_000_000, 1_750_000_090_000
VIEW = {"user_id": "ada", "item_id": "tent", "type": "view"}


def record(value: object, sent: int | None = SENT) -> Record:
    text = value if isinstance(value, bytes | None) else json.dumps(value).encode()
    return Record("shop-events", 3, 41, sent, None, text)


def test_an_event_is_named_by_its_place_and_has_the_time_of_its_message() -> None:
    assert read_event(record(VIEW), NOW) == Event("ada", "tent", SENT, EventType.VIEW, "shop-events/3/41")


def test_what_an_event_says_itself_wins() -> None:
    told = VIEW | {"event_id": "e-1", "timestamp": "2025-11-20T12:00:00Z", "query": "tent", "value": 2.5}
    event = read_event(record(told), NOW + 40_000_000_000)
    assert event == Event("ada", "tent", 1_763_640_000_000, EventType.VIEW, "e-1", "tent", None, 2.5)


def test_a_message_without_a_time_is_of_now() -> None:
    event = read_event(record(VIEW, sent=None), NOW)
    assert isinstance(event, Event)
    assert event.timestamp == NOW


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (None, "no_value"),
        (b"", "no_value"),
        (b"{", "malformed_json"),
        (b'{"user_id": "\xff"}', "malformed_json"),
        (b"[" * 100_000, "malformed_json"),
        ([VIEW], "not_an_object"),
        (VIEW | {"type": "look"}, "enum"),
        (VIEW | {"user_id": ""}, "empty_id"),
        (VIEW | {"colour": "red"}, "extra_forbidden"),
        (VIEW | {"timestamp": NOW + 90_000_000}, "timestamp_in_future"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_event(value: object, code: str) -> None:
    fault = read_event(record(value), NOW)
    assert isinstance(fault, Fault)
    assert fault.code == code
    assert fault.reason


def test_the_time_of_a_message_is_looked_at_too() -> None:
    fault = read_event(record(VIEW, sent=NOW + 90_000_000), NOW)
    assert isinstance(fault, Fault)
    assert fault.code == "timestamp_in_future"
