"""Taking times in turns, and saying how much they spread."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Spread", "mean_spread", "take_turns", "time_once"]

WARM_UP_TURNS = 3


@dataclass(frozen=True, slots=True)
class Spread:
    """Milliseconds: the median, and what a tenth of the samples stay below and above."""

    median: float
    p10: float
    p90: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> "Spread":
        """Of at least one sample."""
        p10, median, p90 = np.percentile(np.asarray(seconds) * 1000, (10, 50, 90)).tolist()
        return cls(median, p10, p90)


def mean_spread(spreads: Sequence[Spread]) -> Spread:
    """The mean of every field."""
    return Spread(*np.mean([(spread.median, spread.p10, spread.p90) for spread in spreads], axis=0).tolist())


def time_once(call: Callable[[], object]) -> float:
    """Seconds."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def take_turns(competitors: Mapping[str, Callable[[int], object]], turns: int) -> dict[str, Spread]:
    """Times of `competitor(turn)`, all of one turn after each other, a different one first every turn.

    So whatever else the machine does hits all alike. The first WARM_UP_TURNS turns are run once more, untimed, before.
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
