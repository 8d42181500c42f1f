"""What users did."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gemserve_client.errors import InvalidArgument
from gemserve_client.values.plain import plain, plain_id, plain_time

__all__ = ["MAX_EVENTS", "Event", "event_of"]

MAX_EVENTS = 1_000  # of one request


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that a user did with an item. Ids may be whole numbers.

    type: view, click, cart, purchase, rating, dislike or impression.
    timestamp: Unix milliseconds, a datetime with a zone, or ISO 8601 text with one; the time of arrival where absent.
    query: what the user had typed, where it was a search.
    request_id: that of the answer that showed the item.
    value: of a rating the stars, of a purchase the money.
    event_id: made here, before anything is sent. The server counts an id once, so the same event may be sent again
    after an error.
    """

    user_id: str | int
    item_id: str | int
    type: str
    timestamp: int | float | str | datetime | None = None
    query: str | None = None
    request_id: str | int | None = None
    value: float | None = None
    event_id: str | int = field(default_factory=lambda: uuid.uuid4().hex)

    def parameters(self) -> dict[str, Any]:
        """What goes over the wire. Raises InvalidArgument for what cannot."""
        given = {name.name: getattr(self, name.name) for name in dataclasses.fields(self)}
        return {name: _read(name, value) for name, value in given.items() if value is not None}


IDS = ("user_id", "item_id", "event_id", "request_id")
READERS: Mapping[str, Callable[[Any, str], Any]] = {"timestamp": plain_time} | dict.fromkeys(IDS, plain_id)
NAMES = frozenset(name.name for name in dataclasses.fields(Event))


def _read(name: str, value: Any) -> Any:
    try:
        return READERS.get(name, plain)(value, name)
    except InvalidArgument as error:
        error.argument = name
        raise


def event_of(value: object) -> Event:
    """An event, or a mapping of its members as one. Raises InvalidArgument for what is neither."""
    if isinstance(value, Event):
        return value
    if not isinstance(value, Mapping):
        raise InvalidArgument(f"is a {type(value).__name__}: give an Event")
    unknown = [name for name in value if name not in NAMES]
    if unknown or not {"user_id", "item_id", "type"} <= value.keys():
        wrong = f"has no {unknown[0]!a}" if unknown else "needs a user_id, an item_id and a type"
        raise InvalidArgument(f"an event {wrong}: its members are {', '.join(sorted(NAMES))}")
    return Event(**value)
