"""Reliability: whether of the items that are said to be right with some probability as many are right.

Items of answers are sorted by their relevance and divided into bins of equally many. The expected calibration error is
the mean distance between the mean relevance of a bin and its share of right items.

A items of all answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["ANSWER", "BINS", "Answer", "Answered", "reliability"]

ANSWER = 10
"""Items of an answer that are looked at, the best ones."""
BINS = 10
LEAST = 1e-6
"""The smallest probability that counts in a logarithm."""


Answer = tuple[np.ndarray, float, np.ndarray]
"""Of one question: the scores of its items, falling, float64; its rivals; which items are right, bool."""


@dataclass(frozen=True, slots=True, eq=False)
class Answered:
    """The best items of the answers to some questions.

    score_A: of each item, float64.
    rivals_A: of its question, float64.
    right_A: whether it is the right one, bool.
    question_A: the place of its question, int64.
    """

    score_A: np.ndarray
    rivals_A: np.ndarray
    right_A: np.ndarray
    question_A: np.ndarray

    def __len__(self) -> int:
        return len(self.score_A)

    @property
    def first_A(self) -> np.ndarray:
        """Whether each is the first of its answer, bool."""
        first_A: np.ndarray = np.diff(self.question_A, prepend=-1) != 0
        return first_A

    def those(self, mask_A: np.ndarray) -> Answered:
        """Some of them."""
        return Answered(self.score_A[mask_A], self.rivals_A[mask_A], self.right_A[mask_A], self.question_A[mask_A])

    @classmethod
    def of(cls, answers: Sequence[Answer]) -> Answered:
        """The best items of these answers."""
        best = [(score_K[:ANSWER], rivals, right_K[:ANSWER]) for score_K, rivals, right_K in answers]
        sizes = [len(score_K) for score_K, _, _ in best]
        return cls(
            np.concatenate([np.empty(0), *(score_K for score_K, _, _ in best)]),
            np.repeat(np.array([rivals for _, rivals, _ in best], np.float64), sizes),
            np.concatenate([np.empty(0, bool), *(right_K for _, _, right_K in best)]),
            np.repeat(np.arange(len(best)), sizes),
        )


def reliability(relevance_A: np.ndarray, answered: Answered) -> dict[str, Any]:
    """The figures of some answers: of all their items, and of the first of each as `first`."""
    first_A = answered.first_A
    return _figures(relevance_A, answered.right_A) | {
        "first": _figures(relevance_A[first_A], answered.right_A[first_A])
    }


def _figures(relevance_A: np.ndarray, right_A: np.ndarray) -> dict[str, Any]:
    order_A = np.argsort(relevance_A, kind="stable")
    bins = [
        {
            "items": len(own),
            "relevance": round(float(relevance_A[own].mean()), 6),
            "right": round(float(right_A[own].mean()), 6),
        }
        for own in np.array_split(order_A, BINS)
        if len(own) > 0
    ]
    error = sum(one["items"] * abs(one["relevance"] - one["right"]) for one in bins) / max(1, len(order_A))
    bounded_A = np.clip(relevance_A, LEAST, 1 - LEAST)
    loss_A = -np.where(right_A, np.log(bounded_A), np.log1p(-bounded_A))
    return {
        "items": len(order_A),
        "expected_calibration_error": round(error, 6),
        "log_loss": round(float(loss_A.mean()), 6) if len(loss_A) else None,
        "bins": bins,
    }
