"""Reads the messages of a topic as events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from server.api.event_check import Fault, check_event
from server.api.schemas.json_text import parse_json
from server.core.errors import Problem
from server.storage.protocol import Event

if TYPE_CHECKING:
    from confluent_kafka import Message

__all__ = ["MAX_TOPIC", "Record", "read_event", "record_of"]

MAX_TOPIC = 220
"""Characters of a topic's name: partition and offset need the rest of an event id's 256."""
FIRST_MS = 315_532_800_000  # 1980; a producer may leave the time of a message at 0


@dataclass(frozen=True, slots=True)
class Record:
    """A message of a topic, where it stands and when it was sent there. sent: Unix ms; None where it does not say."""

    topic: str
    partition: int
    offset: int
    sent: int | None
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()

    @property
    def place(self) -> str:
        """The id of its event, where the event has none of its own: the same each time that it is read."""
        return f"{self.topic}/{self.partition}/{self.offset}"


def record_of(message: Message) -> Record:
    """A message that is no error."""
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    assert topic is not None
    assert partition is not None
    assert offset is not None
    _, sent = message.timestamp()
    key, value = message.key(), message.value()
    told = message.headers() or ()
    headers = tuple((name, _bytes(text)) for name, text in (told.items() if isinstance(told, dict) else told))
    return Record(topic, partition, offset, sent if sent >= FIRST_MS else None, _bytes(key), _bytes(value), headers)


def read_event(record: Record, now: int) -> Event | Fault:
    """The event in a message, which is what an event of `POST /events` is: a JSON object.

    Its time is that of the message where it says none, and its id is the message's place. now: Unix ms.
    """
    if not record.value:
        return Fault(None, "no_value", "the message has no value: an event is a JSON object with user_id and more")
    try:
        row = parse_json(record.value, "the message")
    except Problem as problem:
        return Fault(None, problem.kind.code, problem.detail)
    happened = now if record.sent is None else record.sent
    return check_event(row, event_id=record.place, happened=happened, now=now)


def _bytes(text: str | bytes | None) -> bytes | None:
    return text.encode() if isinstance(text, str) else text
