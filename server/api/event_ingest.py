"""EventIngestor of events: every row is checked by itself, so that one bad row does not cost the good ones."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from server.api.schemas.events import EventBody
from server.core import metrics
from server.core.errors import UNKNOWN_ITEM, describe, in_words
from server.serving.router import Router
from server.storage.protocol import Event, HistoryStore

__all__ = ["Accepted", "EventIngestor", "Receipt", "Rejected"]

FUTURE_MS = 86_400_000  # how far a client's clock may run ahead


@dataclass(frozen=True, slots=True)
class Accepted:
    index: int
    event_id: str
    duplicate: bool


@dataclass(frozen=True, slots=True)
class Rejected:
    index: int
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of the rows, by their index in the request."""

    accepted: list[Accepted]
    rejected: list[Rejected]


class EventIngestor:
    """Checks events against the catalog and writes them to the history store."""

    def __init__(self, router: Router, history: HistoryStore) -> None:
        self._router = router
        self._history = history

    async def record(self, rows: Sequence[object]) -> Receipt:
        """Everything accepted is written when this returns. Raises HistoryUnavailable: then nothing is accepted."""
        now = time.time_ns() // 1_000_000
        checked = [self._check(index, row, now) for index, row in enumerate(rows)]
        rejected = [row for row in checked if isinstance(row, Rejected)]
        events = [(index, row) for index, row in enumerate(checked) if isinstance(row, Event)]
        new = await self._history.append([event for _, event in events]) if events else []
        accepted = [
            Accepted(index, event.event_id, duplicate=not is_new)
            for (index, event), is_new in zip(events, new, strict=True)
        ]
        metrics.EVENTS.labels("accepted").inc(sum(new))
        metrics.EVENTS.labels("duplicate").inc(len(new) - sum(new))
        metrics.EVENTS.labels("rejected").inc(len(rejected))
        for row in rejected:
            metrics.REJECTED_EVENTS.labels(row.code).inc()
        return Receipt(accepted, rejected)

    def _check(self, index: int, row: object, now: int) -> Event | Rejected:
        if not isinstance(row, dict):
            return Rejected(index, "not_an_object", "an event is a JSON object with user_id, item_id and more")
        try:
            body = EventBody.model_validate(row)
        except ValidationError as error:
            faults = describe(error.errors())
            return Rejected(index, faults[0]["code"], in_words(faults))
        if self._router.current.catalog.searcher.items.row_of(body.item_id) is None:
            return Rejected(index, UNKNOWN_ITEM.code, f"item_id: no item of the catalog is named {body.item_id!r}")
        timestamp = now if body.timestamp is None else body.timestamp
        if timestamp > now + FUTURE_MS:
            return Rejected(index, "timestamp_in_future", "timestamp: is more than a day ahead of the server's clock")
        return Event(
            user_id=body.user_id,
            item_id=body.item_id,
            timestamp=timestamp,
            type=body.type,
            event_id=body.event_id or uuid.uuid4().hex,
            query=body.query,
            request_id=body.request_id,
        )
