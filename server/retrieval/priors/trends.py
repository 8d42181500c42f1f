"""What is taken lately, counted anew once a second.

Shapes: S serial numbers.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from catalog.priors.live.events import LiveEvents
from catalog.priors.live.recent import RecentEvents, trends

__all__ = ["TRENDS_SECONDS", "Trends"]

TRENDS_SECONDS = 1.0


class Trends:
    """Trends of all items by their serial numbers, counted anew when they are a second old."""

    def __init__(self, recent: RecentEvents, clock: Callable[[], float] = time.time) -> None:
        """clock: Unix seconds."""
        self._recent = recent
        self._clock = clock
        self._counting = asyncio.Lock()
        self._counted: tuple[float, LiveEvents, NDArray[np.float64]] | None = None

    async def of(self, live: LiveEvents) -> NDArray[np.float64]:
        """float64 [S]; items that came within the last second may be missing."""
        async with self._counting:
            now = self._clock()
            counted = self._counted
            if counted is None or counted[1] is not live or not 0 <= now - counted[0] < TRENDS_SECONDS:
                counted = now, live, await asyncio.to_thread(self._count, live, int(1_000 * now))
                self._counted = counted
            return counted[2]

    def _count(self, live: LiveEvents, now: int) -> NDArray[np.float64]:
        all_S = live.events_of_all()
        return trends(self._recent.decayed(now, len(all_S)), all_S)
