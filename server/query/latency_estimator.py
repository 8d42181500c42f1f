"""How long the next answers will take, learnt from those before, so that nobody is let in who would wait in vain.

An engine that answers several questions together gives each a share of itself. So one figure serves for any number of
them: the seconds that an answer costs the engine, which is the time a question was under way over the mean number of
questions that were under way meanwhile. That many questions at once take that many times as long.
"""

from __future__ import annotations

__all__ = ["LatencyEstimator"]

WEIGHT = 1 / 16  # of the latest answer: the mean forgets within some fifty of them
STEADY_WEIGHT = 1 / 128  # in the deviation: it remembers several batches, in each of which answers are much alike
SPREAD = 5.0  # mean deviations above the mean, which 99 in 100 answers stay under
LEAST_DEVIATION = 0.1  # of the mean: what one batch computed is more alike than what the next one will
LARGEST_DROP = 4.0  # an answer that cost under a quarter of what was expected shows that a disturbance is over


class LatencyEstimator:
    """Costs are in seconds. Before anything is learnt, everything is expected to take no time."""

    __slots__ = ("_cost", "_deviation", "_learnt")

    def __init__(self) -> None:
        self._cost: float | None = None
        self._deviation = 0.0
        self._learnt = 0  # answers since the first

    def learn(self, cost: float, *, complete: bool) -> None:
        """Take in what a question cost. complete: it was answered; else it would have cost at least so much."""
        known = self._cost
        if known is None:
            self._cost = cost
        elif complete or cost > known:
            most = LARGEST_DROP * cost if complete else known
            known, self._deviation = min(known, most), min(self._deviation, most)
            self._learnt += 1
            self._deviation += max(STEADY_WEIGHT, 1 / self._learnt) * (abs(cost - known) - self._deviation)
            self._cost = known + WEIGHT * (cost - known)

    def wait(self, ahead: int) -> float:
        """Seconds until so many questions have been answered."""
        return ahead * (self._cost or 0.0)

    def answer(self, together: int, *, surely: bool) -> float:
        """Seconds that one of so many questions under way takes; surely: that hardly one takes longer than."""
        cost = self._cost or 0.0
        margin = SPREAD * max(self._deviation, LEAST_DEVIATION * cost) if surely else 0.0
        return together * (cost + margin)
