"""Events: as many requests as it takes, and one receipt of all."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from gemserve_client import responses
from gemserve_client.endpoints.call import Call
from gemserve_client.errors import ApiError, InvalidArgument, UnexpectedAnswer
from gemserve_client.events import MAX_EVENTS, Event, event_of
from gemserve_client.responses import Receipt, Rejected
from gemserve_client.values.decode import read
from gemserve_client.values.plain import elements

__all__ = ["events", "joined"]


def events(sent: Iterable[Event | Mapping[str, Any]]) -> Iterator[Call[Receipt] | Receipt]:
    """One request for every 1,000. A receipt's indexes are places in the whole of what is sent.

    Events that cannot be sent are in the receipts, as rejected; between requests there may be a receipt of only such.
    """
    if isinstance(sent, Event | Mapping):
        sent = [sent]
    rows = enumerate(sent if isinstance(sent, Iterator) else elements(sent, "events"))
    while part := [(index, _row(index, event)) for index, event in islice(rows, MAX_EVENTS)]:
        refused = [row for _, row in part if isinstance(row, Rejected)]
        places = [index for index, row in part if isinstance(row, dict)]
        if refused:
            yield Receipt(request_ids=(), accepted=(), rejected=tuple(refused))
        if places:
            yield Call(
                "POST",
                "/events",
                functools.partial(_receipt, places),
                body=[row for _, row in part if isinstance(row, dict)],
                rescue=functools.partial(_receipt_of_none, places),
            )


def _row(index: int, event: object) -> dict[str, Any] | Rejected:
    try:
        return event_of(event).parameters()
    except InvalidArgument as error:
        return Rejected(index=index, code="invalid_argument", reason=f"event {index}: {error}", field=error.argument)


def joined(receipts: Sequence[Receipt]) -> Receipt:
    return Receipt(
        request_ids=tuple(name for receipt in receipts for name in receipt.request_ids),
        accepted=tuple(row for receipt in receipts for row in receipt.accepted),
        rejected=tuple(sorted((row for receipt in receipts for row in receipt.rejected), key=lambda row: row.index)),
    )


def _receipt(places: Sequence[int], body: Any) -> Receipt:
    """The server's receipt for a part whose events have these places in the whole."""
    rows = read(PartReceipt, body)
    indexes = [*(row.index for row in rows.accepted), *(row.index for row in rows.rejected)]
    if not all(0 <= index < len(places) for index in indexes):
        raise UnexpectedAnswer("the answer tells of events that were not sent")
    return Receipt(
        request_ids=(rows.request_id,),
        accepted=tuple(replace(row, index=places[row.index]) for row in rows.accepted),
        rejected=tuple(replace(row, index=places[row.index]) for row in rows.rejected),
        extra=rows.extra,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PartReceipt(responses.Body):
    request_id: str
    accepted: tuple[responses.Accepted, ...]
    rejected: tuple[responses.Rejected, ...]


def _receipt_of_none(places: Sequence[int], error: ApiError) -> Receipt:
    """The server answers a problem where no event was acceptable; among many requests that is one row's matter too."""
    if "rejected" not in error.members:
        raise error
    return _receipt(places, {"request_id": error.request_id, "accepted": [], "rejected": error.members["rejected"]})
