"""Postings: of every word the states of items that have it, so that a query looks at no other.

States are only appended, so postings stay right for those that they were made of. Later states are looked through, as
long as they are few.

Shapes: S states of items, V words, E words of all states, each once a state.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Postings"]

MIN_UNLISTED = 1_000
"""States that are always looked through rather than listed anew."""
UNLISTED = 1 / 16
"""The states that are looked through, as a part of those that are listed; more are listed anew."""


@dataclass(frozen=True, slots=True, eq=False)
class Postings:
    """The states that have each word, of the first so many states.

    first_V1: where the states of each word begin in `state_E`, and where the last end, int64; later words have none.
    state_E: the states, int32 ascending within a word.
    states: how many were listed.
    """

    first_V1: NDArray[np.int64]
    state_E: NDArray[np.int32]
    states: int

    @classmethod
    def of(cls, bounds_SB: NDArray[np.int64], word_W: NDArray[np.int32], words: int) -> Postings:
        """bounds_SB, word_W: as in `ItemWords`. words: how many there are."""
        from catalog.priors import kernels  # not above: it loads numba, before which vLLM's process must have started

        first_V1, state_E = kernels.list_states(bounds_SB, word_W, words)
        return cls(first_V1, state_E, len(bounds_SB))

    def reaches(self, states: int) -> bool:
        """Whether few enough of so many states are not listed."""
        return states - self.states <= MIN_UNLISTED + UNLISTED * self.states
