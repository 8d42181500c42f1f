"""Counting events into live priors."""

from __future__ import annotations

from collections.abc import Sequence

from catalog.data.event_weights import EventWeights
from catalog.data.events import EventType
from catalog.priors.live.recent import RecentEvents
from catalog.priors.priors import Priors
from catalog.snapshot import Snapshot
from server.storage.protocol import Deed, History, LoggedEvent

__all__ = ["MAX_WAITING", "count_events"]

MAX_WAITING = 1_000
"""Events with items that are not here yet which are kept until they are."""


def count_events(
    priors: Priors,
    recent: RecentEvents,
    events: Sequence[LoggedEvent],
    erased: Sequence[str],
    snapshot: Snapshot,
    weights: EventWeights,
) -> Sequence[LoggedEvent]:
    """Counts events and takes back those of erased users. Returns the events with items that the snapshot lacks.

    priors: whose live part counts them.
    recent: counts them too, by when they came.
    events: in the order in which they came, those that waited before first.
    erased: SHA-256 of users' ids.
    snapshot: says which items there are.
    weights: of the types of events; one that weighs nothing is not counted.
    """

    def serial(item_id: str) -> int | None:
        row = snapshot.items.row_of(item_id)
        return None if row is None else int(snapshot.serial_N[row])

    def counted(past: Sequence[Deed]) -> list[tuple[int, float]]:
        own = History.of(past, 0, weights=weights).counted
        return [(n, weights.of(kind, value)) for item, _, kind, value in own if (n := serial(item)) is not None]

    waiting: list[LoggedEvent] = []
    past_of: dict[str, tuple[Deed, ...]] = {}  # of users whose first event waits
    for event in events:
        past = event.past or past_of.pop(event.user, ())
        own, weight = serial(event.item_id), weights.of(event.type, event.value)
        if event.type == EventType.DISLIKE:
            past = tuple(deed for deed in past if deed.item_id != event.item_id)
            waiting = [other for other in waiting if (other.user, other.item_id) != (event.user, event.item_id)]
            if own is not None:
                priors.live.dislike(event.user, own, counted(past))
                recent.dislike(event.user, own)
        elif own is None and weight > 0:
            waiting.append(event)
        if own is None or weight == 0:
            past_of[event.user] = past
            continue
        priors.live.add(event.user, own, event.query, counted(past), weight=weight)
        recent.add(event.user, own, event.timestamp, weight)
    for user in erased:
        priors.live.erase(user)
        recent.erase(user)
    gone = set(erased)
    return [event for event in waiting if event.user not in gone][-MAX_WAITING:]
