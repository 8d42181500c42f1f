"""Checks one event, wherever it came from: a request, or a topic of Kafka."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import ValidationError

from server.api.schemas.events import EventBody, faults_of
from server.core.errors import in_words
from server.storage.protocol import Event

__all__ = ["Fault", "check_event"]

FUTURE_MS = 86_400_000  # how far a client's clock may run ahead


@dataclass(frozen=True, slots=True)
class Fault:
    """Why an event cannot be taken. field: the first one that is wrong; None where the row is no object."""

    field: str | None
    code: str
    reason: str


def check_event(row: object, *, event_id: str, happened: int, now: int) -> Event | Fault:
    """The event that a row describes.

    event_id, happened: of an event that does not say them itself. happened, now: Unix ms.
    """
    if not isinstance(row, dict):
        return Fault(None, "not_an_object", "an event is a JSON object with user_id, item_id, type and more")
    try:
        body = EventBody.model_validate(row)
    except ValidationError as error:
        faults = faults_of(error, row)
        return Fault(faults[0]["field"], faults[0]["code"], in_words(faults))
    timestamp = happened if body.timestamp is None else body.timestamp
    if timestamp > now + FUTURE_MS:
        reason = "timestamp: is more than a day ahead of the server's clock"
        return Fault("timestamp", "timestamp_in_future", reason)
    return Event(
        user_id=body.user_id,
        item_id=body.item_id,
        timestamp=timestamp,
        type=body.type,
        event_id=body.event_id or event_id,
        query=body.query,
        request_id=body.request_id,
        value=body.value,
    )
