"""Draws from a random generator, without the overhead of `Generator.choice` (called a hundred thousand times)."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

__all__ = ["draw", "draw_by_utility", "pick"]

T = TypeVar("T")


def pick(rng: np.random.Generator, options: Sequence[T]) -> T:
    """One of the options, all equally likely."""
    return options[int(rng.integers(len(options)))]


def draw(rng: np.random.Generator, weights: npt.ArrayLike) -> int:
    """A position, drawn in proportion to the weights (none below zero, not all zero)."""
    sums = np.cumsum(weights)
    return int(np.searchsorted(sums, rng.random() * sums[-1], side="right"))


def draw_by_utility(rng: np.random.Generator, utilities: npt.NDArray[np.float64]) -> int:
    """A position, drawn with probability softmax(utilities); minus infinity is never drawn."""
    return int(np.argmax(utilities + rng.gumbel(size=len(utilities))))
