"""Draws as skewed as a shop's traffic, where few users and items make most of it."""

from collections.abc import Sequence
from typing import Generic, TypeVar

import numpy as np

__all__ = ["Zipf"]

T = TypeVar("T")


class Zipf(Generic[T]):
    """Draws values by Zipf's law: the one of rank r with a probability proportional to 1 / r^exponent.

    Ranks are assigned at random. `numpy.random.Generator.zipf` draws from infinitely many ranks and needs an exponent
    above 1, so it cannot draw from a list.
    """

    def __init__(self, values: Sequence[T], generator: np.random.Generator, exponent: float = 1.0) -> None:
        weight_N = 1 / np.arange(1, len(values) + 1) ** exponent
        self._ends_N = np.cumsum(weight_N / weight_N.sum())
        self._values: list[T] = [values[place] for place in generator.permutation(len(values))]
        self._generator = generator

    def draw(self) -> T:
        """One of the values."""
        place = int(np.searchsorted(self._ends_N, self._generator.random(), side="right"))
        return self._values[min(place, len(self._values) - 1)]
