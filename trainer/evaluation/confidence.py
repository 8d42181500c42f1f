"""Means and ratios with bootstrap confidence intervals.

This is code of our own because it is as short as a call of `scipy.stats.bootstrap` with its statistic would be, and
published figures have their intervals from these draws.

B samples, D bootstrap draws.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

__all__ = ["Estimate", "mean_estimate", "ratio_estimate"]

DRAWS = 2000
BOUNDS = (0.025, 0.975)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value and its 95% interval."""

    value: float
    low: float
    high: float

    def as_json(self) -> dict[str, Any]:
        return {name: round(number, 6) for name, number in asdict(self).items()}


def mean_estimate(values_B: np.ndarray, *, seed: int = 0) -> Estimate:
    """The mean of independent samples, with its interval."""
    return ratio_estimate(values_B, np.ones(len(values_B)), seed=seed)


def ratio_estimate(
    sums_B: np.ndarray,
    counts_B: np.ndarray,
    *,
    seed: int = 0,
    then: Callable[[np.ndarray], np.ndarray] = lambda means: means,
) -> Estimate:
    """The value of `then`(Σ sums / Σ counts), with its interval, where each sample is a block of several values.

    sums_B: the sum of each block's values.
    counts_B: how many values each block has.
    then: an elementwise function of the mean, such as the exponential for a perplexity.
    """
    drawn_DB = np.random.default_rng(seed).integers(0, len(sums_B), (DRAWS, len(sums_B)))
    means_D = then(sums_B[drawn_DB].sum(1) / counts_B[drawn_DB].sum(1))
    low, high = np.quantile(means_D, BOUNDS)
    value = float(then(np.array(sums_B.sum() / counts_B.sum())))
    return Estimate(value, float(low), float(high))
