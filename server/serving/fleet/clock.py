"""The store's clock as another process knows it: between two bounds, as wide as the answers took to come."""

from __future__ import annotations

__all__ = ["StoreClock"]

MAX_DRIFT = 5e-4
"""Part by which two clocks run apart at most: as fast as NTP slews one."""


class StoreClock:
    """Learns from answers that name the store's time.

    All times are ms; those called `at`, `asked` and `answered` are of the process's own clock, which never steps.
    """

    def __init__(self) -> None:
        self._low, self._high = float("-inf"), float("inf")  # what is to be added to the own clock
        self._at = 0.0

    def learn(self, asked: float, answered: float, shown: float) -> None:
        """The store's clock showed `shown` at some moment from `asked` to `answered`.

        What was known before narrows it further, unless it contradicts: then the store's clock has stepped.
        """
        drift = MAX_DRIFT * (answered - asked)
        low, high = shown - answered - drift, shown - asked + drift
        known_low, known_high = self._offsets(answered)
        if max(low, known_low) <= min(high, known_high):
            low, high = max(low, known_low), min(high, known_high)
        self._low, self._high, self._at = low, high, answered

    def bounds(self, at: float) -> tuple[float, float]:
        """The earliest and the latest that the store's clock may show."""
        low, high = self._offsets(at)
        return at + low, at + high

    def _offsets(self, at: float) -> tuple[float, float]:
        drift = MAX_DRIFT * max(0.0, at - self._at)
        return self._low - drift, self._high + drift
