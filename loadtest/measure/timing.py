"""Times of functions that take turns, and their spread.

`timeit` and pyperf measure one function after another, so a machine that becomes slower meanwhile favours the first.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Spread", "mean_spread", "take_turns", "time_once"]

WARM_UP_TURNS = 3


@dataclass(frozen=True, slots=True)
class Spread:
    """The median and the 10th and 90th percentiles, in milliseconds."""

    median: float
    p10: float
    p90: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> "Spread":
        """The spread of at least one time in seconds."""
        p10, median, p90 = np.percentile(np.asarray(seconds) * 1000, (10, 50, 90)).tolist()
        return cls(median, p10, p90)


def mean_spread(spreads: Sequence[Spread]) -> Spread:
    """The mean of every field over some spreads."""
    return Spread(*np.mean([(spread.median, spread.p10, spread.p90) for spread in spreads], axis=0).tolist())


def time_once(call: Callable[[], object]) -> float:
    """The seconds that a call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def take_turns(competitors: Mapping[str, Callable[[int], object]], turns: int) -> dict[str, Spread]:
    """Times of the calls `competitor(turn)`: in every turn all competitors run, each turn another one first.

    Whatever else the machine does therefore slows all of them down alike. WARM_UP_TURNS turns run before, untimed.
    """
    names = list(competitors)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(-WARM_UP_TURNS, turns):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            taken = time_once(lambda name=name, turn=turn: competitors[name](turn % turns))  # type: ignore[misc]
            if turn >= 0:
                seconds[name].append(taken)
    return {name: Spread.of(taken) for name, taken in seconds.items()}
