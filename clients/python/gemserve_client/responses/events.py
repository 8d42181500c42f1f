"""What became of events that were sent."""

from __future__ import annotations

from dataclasses import dataclass

from gemserve_client.responses.body import Body

__all__ = ["Accepted", "Receipt", "Rejected"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted(Body):
    """An event that has been written.

    index: its place in what was sent.
    duplicate: whether it had been written before.
    known: whether the catalog has its item now; it counts once the item comes.
    """

    index: int
    event_id: str
    duplicate: bool
    known: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected(Body):
    """An event that has not been written, and why.

    index: its place in what was sent.
    field: the first one that is wrong; None where the event is no object.
    """

    index: int
    code: str
    reason: str
    field: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt(Body):
    """What became of events: every one is in one of the lists. `request_ids`: one for each request that was made."""

    request_ids: tuple[str, ...]
    accepted: tuple[Accepted, ...]
    rejected: tuple[Rejected, ...]
