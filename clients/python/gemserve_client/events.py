"""What users did."""

from __future__ import annotations

import dataclasses
import uuid
from dataclasses import dataclass, field
from typing import Any

__all__ = ["MAX_EVENTS", "Event"]

MAX_EVENTS = 1_000  # of one request


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that a user did with an item. Ids may be whole numbers.

    type: view, click, cart, purchase or rating.
    timestamp: Unix milliseconds, or ISO 8601 text with a zone; the time of arrival where absent.
    query: what the user had typed, where it was a search.
    request_id: that of the answer that showed the item.
    event_id: made here, before anything is sent. The server counts an id once, so the same event may be sent again
    after an error.
    """

    user_id: str | int
    item_id: str | int
    type: str
    timestamp: int | str | None = None
    query: str | None = None
    request_id: str | None = None
    event_id: str = field(default_factory=lambda: uuid.uuid4().hex)

    def parameters(self) -> dict[str, Any]:
        """What goes over the wire."""
        return {name: value for name, value in dataclasses.asdict(self).items() if value is not None}
