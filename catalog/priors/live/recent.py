"""What is taken lately, each event the less the older it is: what trends are told from.

Shapes: E events, N items.
"""

from __future__ import annotations

from collections import deque
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


class RecentEvents:
    """The newest events. Threads may share it."""

    def __init__(self, most: int = MAX_RECENT) -> None:
        self._lock = Lock()
        self._events: deque[RecentEvent] = deque(maxlen=most)

    def add(self, user: str, item: int, timestamp: int) -> None:
        """Remember an event. timestamp: Unix ms."""
        with self._lock:
            self._events.append(RecentEvent(user, item, timestamp))

    def erase(self, user: str) -> None:
        """Forget the events of a user."""
        with self._lock:
            left = [event for event in self._events if event.user != user]
            if len(left) < len(self._events):
                self._events = deque(left, maxlen=self._events.maxlen)

    def __len__(self) -> int:
        return len(self._events)

    def decayed(self, now: int, items: int) -> NDArray[np.float64]:
        """How many events every item has, each halved as often as the half-life has passed since: float64 [N].

        now: Unix ms; an event of later counts as one of now.
        """
        with self._lock:
            events = list(self._events)
        item_E = np.array([event.item for event in events], np.int64)
        age_E = np.maximum(now - np.array([event.timestamp for event in events], np.float64), 0)
        known_E = item_E < items
        weight_E = 0.5 ** (age_E[known_E] / HALF_LIFE_MS)
        return np.asarray(np.bincount(item_E[known_E], weight_E, minlength=items), np.float64)


def trends(recent_N: NDArray[np.float64], all_N: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much more is taken of every item lately than its share of all events leads to expect: float64 [N].

    The difference, divided by the root of what is expected and one more, which is about how far chance alone would take
    it: an item that was never taken before does not trend by a single event as one does of which hundreds are taken. 0
    where no more is taken than expected.

    recent_N: the decayed events. all_N: all events, these among them.
    """
    expected_N = all_N * (recent_N.sum() / max(all_N.sum(), 1.0))
    return np.asarray(np.maximum(recent_N - expected_N, 0.0) / np.sqrt(expected_N + 1.0))
