"""The time that the next queries will take, learnt from those before.

An engine that runs several queries together gives each a share of itself. So one figure serves for any number of them:
the seconds that a query costs the engine, which is the time it ran over the mean number of queries that ran meanwhile.
That many queries at once take that many times as long.
"""

from __future__ import annotations

__all__ = ["LatencyEstimator"]

WEIGHT = 1 / 16  # of the latest query: the mean forgets within some fifty of them
STEADY_WEIGHT = 1 / 128  # in the deviation: it remembers several batches, in each of which queries are much alike
SPREAD = 5.0  # mean deviations above the mean, which 99 in 100 queries stay under
MIN_DEVIATION = 0.1  # of the mean: what one batch computed is more alike than what the next one will
MAX_DROP = 4.0  # a query that cost under a quarter of the estimate shows that a disturbance is over


class LatencyEstimator:
    """Mean and deviation of a query's cost, in seconds. Every estimate is 0 before the first observation."""

    __slots__ = ("_cost", "_deviation", "_observed")

    def __init__(self) -> None:
        self._cost: float | None = None
        self._deviation = 0.0
        self._observed = 0  # queries since the first

    def observe(self, cost: float, *, complete: bool) -> None:
        """Learn what a query cost. One that is not complete was given up, and would have cost at least so much."""
        known = self._cost
        if known is None:
            self._cost = cost
        elif complete or cost > known:
            limit = MAX_DROP * cost if complete else known
            known, self._deviation = min(known, limit), min(self._deviation, limit)
            self._observed += 1
            self._deviation += max(STEADY_WEIGHT, 1 / self._observed) * (abs(cost - known) - self._deviation)
            self._cost = known + WEIGHT * (cost - known)

    def queue_seconds(self, ahead: int) -> float:
        """Seconds until `ahead` queries have been answered."""
        return ahead * (self._cost or 0.0)

    def latency(self, running: int, *, pessimistic: bool) -> float:
        """Seconds that a query takes which is one of so many that run: the mean, or the 99th percentile."""
        cost = self._cost or 0.0
        margin = SPREAD * max(self._deviation, MIN_DEVIATION * cost) if pessimistic else 0.0
        return running * (cost + margin)
