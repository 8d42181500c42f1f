"""What is taken lately, each event the less the older it is: what trends are told from.

Shapes: E events, N items.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

import numpy as np
from numpy.typing import NDArray

__all__ = ["HALF_LIFE_MS", "MAX_RECENT", "RecentEvents", "trends"]

HALF_LIFE_MS = 24 * 3_600_000
"""An event that is so old counts half as much as one of now."""
MAX_RECENT = 100_000
"""Events that are remembered, the newest."""


@dataclass(frozen=True, slots=True)
class RecentEvent:
    user: str
    item: int
    timestamp: int
    weight: float


class RecentEvents:
    """The newest events. Threads may share it."""

    def __init__(self, most: int = MAX_RECENT) -> None:
        self._lock = Lock()
        self._events: deque[RecentEvent] = deque(maxlen=most)

    def add(self, user: str, item: int, timestamp: int, weight: float = 1.0) -> None:
        """Remember an event. timestamp: Unix ms. weight: what it counts."""
        with self._lock:
            self._events.append(RecentEvent(user, item, timestamp, weight))

    def erase(self, user: str) -> None:
        """Forget the events of a user."""
        self._keep(lambda event: event.user != user)

    def dislike(self, user: str, item: int) -> None:
        """Forget a user's events with an item."""
        self._keep(lambda event: (event.user, event.item) != (user, item))

    def _keep(self, kept: Callable[[RecentEvent], bool]) -> None:
        with self._lock:
            left = [event for event in self._events if kept(event)]
            if len(left) < len(self._events):
                self._events = deque(left, maxlen=self._events.maxlen)

    def __len__(self) -> int:
        return len(self._events)

    def decayed(self, now: int, items: int) -> NDArray[np.float64]:
        """The weights of every item's events, each halved as often as the half-life has passed since: float64 [N].

        now: Unix ms; an event of later counts as one of now.
        """
        with self._lock:
            events = list(self._events)
        item_E = np.array([event.item for event in events], np.int64)
        age_E = np.maximum(now - np.array([event.timestamp for event in events], np.float64), 0)
        known_E = item_E < items
        own_E = np.array([event.weight for event in events], np.float64)
        weight_E = own_E[known_E] * 0.5 ** (age_E[known_E] / HALF_LIFE_MS)
        return np.asarray(np.bincount(item_E[known_E], weight_E, minlength=items), np.float64)


def trends(recent_N: NDArray[np.float64], all_N: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much more is taken of every item lately than its share of all events leads to expect: float64 [N].

    The difference, divided by the root of what is expected and one more, which is about how far chance alone would take
    it: an item that was never taken before does not trend by a single event as one does of which hundreds are taken. 0
    where no more is taken than expected.

    recent_N: the decayed weights of events. all_N: those of all events, these among them.
    """
    expected_N = all_N * (recent_N.sum() / max(all_N.sum(), 1.0))
    return np.asarray(np.maximum(recent_N - expected_N, 0.0) / np.sqrt(expected_N + 1.0))
