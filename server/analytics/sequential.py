"""Rates with their intervals, and a test of two rates that may be looked at as often as one likes.

The interval of a rate is Wilson's (1927). The test is the mixture sequential probability ratio test of Robbins (1970)
as Johari, Pekelis and Walsh use it for experiments on the web (arXiv 1512.04922): under equal rates the chance that the
likelihood ratio ever exceeds 1 / α is at most α, however often somebody looks and whenever they stop.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, inf, log, sqrt

__all__ = ["Comparison", "Rate", "compare", "rate"]

Z = 1.959964  # of 95%
ALPHA = 0.05
SPREAD = 0.02
"""Standard deviation of the differences that the mixture expects: two percentage points."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A share of some, with its interval of 95%; None where there are none."""

    rate: float | None
    low: float | None
    high: float | None


def rate(successes: int, trials: int) -> Rate:
    if trials == 0:
        return Rate(None, None, None)
    share, square = successes / trials, Z * Z
    middle = (share + square / (2 * trials)) / (1 + square / trials)
    half = Z / (1 + square / trials) * sqrt(share * (1 - share) / trials + square / (4 * trials * trials))
    return Rate(share, max(0.0, middle - half), min(1.0, middle + half))


@dataclass(frozen=True, slots=True)
class Comparison:
    """One rate less another.

    low, high: an interval that holds the true difference at all looks together in 95% of experiments.
    p_value: valid at whatever moment somebody looks.
    decided: whether the rates differ by this test.
    """

    difference: float | None
    low: float | None
    high: float | None
    p_value: float
    decided: bool


def compare(successes: int, trials: int, others: int, other_trials: int) -> Comparison:
    """The rate of the first less that of the others."""
    if trials == 0 or other_trials == 0:
        return Comparison(None, None, None, 1.0, decided=False)
    difference = successes / trials - others / other_trials
    pooled = (successes + others + 1) / (trials + other_trials + 2)  # never 0 or 1
    variance = pooled * (1 - pooled) * (1 / trials + 1 / other_trials)
    prior = SPREAD * SPREAD
    log_ratio = 0.5 * log(variance / (variance + prior)) + prior * difference**2 / (2 * variance * (variance + prior))
    half = sqrt((2 * log(1 / ALPHA) + log((variance + prior) / variance)) * variance * (variance + prior) / prior)
    p_value = min(1.0, exp(-log_ratio) if log_ratio > -700 else inf)
    return Comparison(
        difference, max(-1.0, difference - half), min(1.0, difference + half), p_value, decided=p_value <= ALPHA
    )
