"""How likely the right items of some questions are by weights of their features: the conditional logit's likelihood.

Q questions, A candidates of all, C of a question, K of all that are not negligible, F features.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_array

__all__ = ["Likelihood"]

PIECE = 20_000
"""Candidates that are looked at together, whose features stay in a processor's cache meanwhile."""
NEGLIGIBLE = np.log(1e-3)
"""Candidates so much less likely than the best of their question, three of four, are left out of the curvature, to
which they add some hundredths."""


class Likelihood:
    """The negative log-likelihood of the right candidates as a function of the weights: convex, a sum over questions.

    values: of each question the features of its candidates, float64 [C, F]. right: of each the place of the right one.
    """

    def __init__(self, values: Sequence[np.ndarray], right: Sequence[int]) -> None:
        piece_Q = np.cumsum([len(value_CF) for value_CF in values]) // PIECE
        firsts = np.flatnonzero(np.diff(piece_Q, prepend=-1)).tolist()
        self._pieces = [
            _Piece(values[first:last], right[first:last])
            for first, last in zip(firsts, [*firsts[1:], len(values)], strict=True)
        ]

    def value(self, weight_F: np.ndarray) -> float:
        return sum(piece.value(weight_F) for piece in self._pieces)

    def around(self, weight_F: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """The value, its slope [F] and its curvature [F, F], of what is not negligible."""
        value, slope_F, curvature_FF = 0.0, np.zeros(len(weight_F)), np.zeros((len(weight_F), len(weight_F)))
        for piece in self._pieces:
            own, own_F, own_FF = piece.around(weight_F)
            value += own
            slope_F += own_F
            curvature_FF += own_FF
        return value, slope_F, curvature_FF


class _Piece:
    """Some of the questions."""

    def __init__(self, values: Sequence[np.ndarray], right: Sequence[int]) -> None:
        sizes = np.array([len(value_CF) for value_CF in values])
        self._value_AF = np.concatenate(values)
        self._start_Q = np.cumsum(sizes) - sizes
        self._right_Q = self._start_Q + np.array(right, np.int64)
        self._question_A = np.repeat(np.arange(len(sizes)), sizes)

    def value(self, weight_F: np.ndarray) -> float:
        return self._at(weight_F)[0]

    def around(self, weight_F: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        value, below_A, share_A = self._at(weight_F)
        kept_K = np.flatnonzero(below_A > NEGLIGIBLE)  # of each question its best at least
        slope_F = share_A @ self._value_AF - self._value_AF[self._right_Q].sum(0)
        value_KF, share_K = self._value_AF[kept_K], share_A[kept_K]
        starts = np.append(np.searchsorted(kept_K, self._start_Q), len(kept_K))
        mean_QF = csr_array((share_K, np.arange(len(kept_K)), starts)) @ value_KF
        value_KF *= np.sqrt(share_K)[:, None]
        return value, slope_F, value_KF.T @ value_KF - mean_QF.T @ mean_QF

    def _at(self, weight_F: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """The value, the candidates' scores less the best of their questions, and their probabilities, both [A]."""
        below_A = self._value_AF @ weight_F
        below_A -= np.maximum.reduceat(below_A, self._start_Q)[self._question_A]
        share_A = np.exp(below_A)
        total_Q = np.add.reduceat(share_A, self._start_Q)
        share_A /= total_Q[self._question_A]
        return float((np.log(total_Q) - below_A[self._right_Q]).sum()), below_A, share_A
