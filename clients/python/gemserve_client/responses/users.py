"""What a user did, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass

from gemserve_client.responses.body import Body

__all__ = ["Erasure", "History", "Merge", "PastEvent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PastEvent(Body):
    """An event of a user's history; `timestamp` in Unix milliseconds."""

    item_id: str
    query: str | None = None
    type: str
    timestamp: int
    event_id: str
    value: float | None = None
    title: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class History(Body):
    """What a user did, the newest first; `total` counts the events that are kept, not only those told here."""

    request_id: str
    user: str
    events: tuple[PastEvent, ...]
    total: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Merge(Body):
    """`moved`: how many events came from the session into the user's history."""

    request_id: str
    user: str
    session: str
    moved: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure(Body):
    request_id: str
    user: str
    events_erased: int
