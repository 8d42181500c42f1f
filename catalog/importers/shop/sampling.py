"""Random draws. They are made a hundred thousand times, for which `Generator.choice` has too much overhead."""

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
    """A position, drawn in proportion to the weights, which are not negative and not all zero."""
    sums = np.cumsum(weights)
    return int(np.searchsorted(sums, rng.random() * sums[-1], side="right"))


def draw_by_utility(rng: np.random.Generator, utilities: npt.NDArray[np.float64]) -> int:
    """A position, drawn with the probabilities softmax(utilities). Minus infinity is never drawn."""
    return int(np.argmax(utilities + rng.gumbel(size=len(utilities))))
