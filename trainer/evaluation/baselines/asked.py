"""Held-out questions as baselines see them, and the ranks that scores give to their answers.

Q questions, N items.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from catalog.priors.events import newest_distinct
from trainer.data.histories import Histories
from trainer.data.questions import Question
from trainer.evaluation.candidates import Candidates
from trainer.evaluation.metrics import NOT_FOUND

__all__ = ["Asked", "Scores", "answer_ranks"]

Scores = np.ndarray | sp.csr_matrix
"""Scores of all items for Q questions, [Q, N]; in a sparse matrix, items that are absent have 0."""

MAX_LAST = 50
BLOCK_SCORES = 8_000_000
"""Scores that are held at a time."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Q questions of one task.

    histories: the last MAX_LAST distinct items before each question, oldest first.
    queries: what was searched for; empty if the task is recommendation.
    answers_Q: the right items, int64.
    candidates: the candidates of each question.
    """

    histories: Sequence[np.ndarray]
    queries: Sequence[str]
    answers_Q: np.ndarray
    candidates: Sequence[Candidates]

    @classmethod
    def of(cls, full: Histories, questions: Sequence[Question], candidates: Sequence[Candidates]) -> Asked:
        return cls(
            [newest_distinct(full.items_E[q.start : q.stop], MAX_LAST)[::-1] for q in questions],
            [q.query or "" for q in questions],
            np.array([q.item for q in questions], dtype=np.int64),
            candidates,
        )

    def __len__(self) -> int:
        return len(self.queries)

    def blocks(self, items: int) -> Iterator[Asked]:
        """The questions in parts that have BLOCK_SCORES scores or one question.

        items: how many the catalog has.
        """
        size = max(1, BLOCK_SCORES // max(1, items))
        for start in range(0, len(self), size):
            part = slice(start, start + size)
            yield Asked(self.histories[part], self.queries[part], self.answers_Q[part], self.candidates[part])


def answer_ranks(score_QN: Scores, asked: Asked) -> np.ndarray:
    """The rank of every answer among all items that are not excluded: int64 [Q]; NOT_FOUND where it scores 0 or less.

    Of items with equal scores, the first has the better rank.
    """
    own_Q = np.asarray(score_QN[np.arange(len(asked)), asked.answers_Q], dtype=np.float64).ravel()
    excluded = [own.excluded for own in asked.candidates]
    starts = np.r_[0, np.cumsum([len(rows) for rows in excluded], dtype=np.int64)]
    column = np.concatenate([*excluded, np.empty(0, np.int64)]).astype(np.int64)
    row = np.repeat(np.arange(len(asked)), np.diff(starts))
    if isinstance(score_QN, sp.csr_matrix):
        seen_QN = sp.csr_matrix((np.ones(len(column)), column, starts), shape=score_QN.shape)
        rest_QN = sp.csr_matrix(score_QN - score_QN.multiply(seen_QN))
        of_row = np.repeat(np.arange(len(asked)), np.diff(rest_QN.indptr))
        ahead = _ahead(rest_QN.data, rest_QN.indices, own_Q[of_row], asked.answers_Q[of_row])
        before_Q = np.bincount(of_row[ahead], minlength=len(asked))
    else:
        dense_QN = np.array(score_QN)
        dense_QN[row, column] = -np.inf
        item_N = np.arange(dense_QN.shape[1])
        before_Q = _ahead(dense_QN, item_N, own_Q[:, None], asked.answers_Q[:, None]).sum(1)
    return np.where(own_Q > 0, 1 + before_Q, NOT_FOUND)


def _ahead(score: np.ndarray, item: np.ndarray, own: np.ndarray, answer: np.ndarray) -> np.ndarray:
    return np.asarray((score > own) | ((score == own) & (item < answer)))
