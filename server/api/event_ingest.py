"""Takes events in: each is checked by itself, so that a bad one of a list does not cost the good ones.

An event of an item that the catalog does not have is kept: the item may come later, and the event counts from then on,
in histories and in training. The receipt says of each event whether its item is known now.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from catalog.data.items import Items
from server.api.event_check import check_event
from server.core import metrics
from server.retrieval.eligibility import EligibleItems
from server.serving.router import Router
from server.storage.protocol import Event, HistoryStore

__all__ = ["Accepted", "EventIngestor", "Receipt", "Rejected"]

FEW = 10  # events that are checked in the event loop: each may hold a thousand characters of any kind


@dataclass(frozen=True, slots=True)
class Accepted:
    """duplicate: whether the user's event ids contained this one. known: whether the catalog has the item now."""

    index: int
    event_id: str
    duplicate: bool
    known: bool


@dataclass(frozen=True, slots=True)
class Rejected:
    """field: the first one that is wrong; None where the row is no object."""

    index: int
    field: str | None
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of the rows, by their index in the request."""

    accepted: list[Accepted]
    rejected: list[Rejected]


class EventIngestor:
    """Checks events and writes them to the history store."""

    def __init__(self, router: Router, history: HistoryStore) -> None:
        self._router = router
        self._history = history

    async def record(
        self, rows: Sequence[object], *, within: str | None, idempotency_key: str | None = None
    ) -> Receipt:
        """Everything accepted is written when this returns. Raises HistoryUnavailable: then nothing is accepted.

        within: a filter that says which items the caller may see at all, and tell of; None for all. Raises Problem
            where it does not fit the catalog. idempotency_key: names the request, so that the rows of one that is sent
            again have the event ids that they had before; None where events without an id get a new one.
        """
        searcher = self._router.current.catalog.searcher
        part = await searcher.eligible.within(within)
        now = time.time_ns() // 1_000_000
        few = len(rows) <= FEW
        arguments = rows, now, uuid.uuid4().hex if idempotency_key is None else idempotency_key
        checked = _check_all(*arguments) if few else await asyncio.to_thread(_check_all, *arguments)
        if within is not None:
            checked = [_inside(index, row, searcher.items, part) for index, row in enumerate(checked)]
        rejected = [row for row in checked if isinstance(row, Rejected)]
        events = [(index, row) for index, row in enumerate(checked) if isinstance(row, Event)]
        new = await self._history.append([event for _, event in events]) if events else []
        accepted = [
            Accepted(index, event.event_id, duplicate=not is_new, known=self._is_known(event.item_id))
            for (index, event), is_new in zip(events, new, strict=True)
        ]
        metrics.EVENTS.labels("accepted").inc(sum(new))
        metrics.EVENTS.labels("duplicate").inc(len(new) - sum(new))
        metrics.UNKNOWN_ITEM_EVENTS.inc(sum(not (row.known or row.duplicate) for row in accepted))
        metrics.EVENTS.labels("rejected").inc(len(rejected))
        for row in rejected:
            metrics.REJECTED_EVENTS.labels(row.code).inc()
        return Receipt(accepted, rejected)

    def _is_known(self, item_id: str) -> bool:
        snapshot = self._router.current.catalog.searcher.snapshot
        row = snapshot.items.row_of(item_id)
        return row is not None and bool(snapshot.present_N[row])


def _check_all(rows: Sequence[object], now: int, request_key: str) -> list[Event | Rejected]:
    return [_check(index, row, now, request_key) for index, row in enumerate(rows)]


def _event_id(request_key: str, index: int) -> str:
    """The id of an event that came without one, by its request's key and its place there.

    Random bytes for each event would give the interpreter's lock away each time and take it at once again, so that the
    event loop's wait for it began anew and never ended before the last event.
    """
    return hashlib.sha256(f"{index}\0{request_key}".encode()).hexdigest()[:32]


def _inside(index: int, row: Event | Rejected, items: Items, part: EligibleItems) -> Event | Rejected:
    """The event, if its item is one that the caller may tell of."""
    if isinstance(row, Rejected):
        return row
    leaf = items.row_of(row.item_id)
    if leaf is None or not part.has(leaf):
        return Rejected(index, "item_id", "item_not_found", "item_id: is no item that the key's filter lets through")
    return row


def _check(index: int, row: object, now: int, request_key: str) -> Event | Rejected:
    checked = check_event(row, event_id=_event_id(request_key, index), happened=now, now=now)
    return checked if isinstance(checked, Event) else Rejected(index, checked.field, checked.code, checked.reason)
