"""The candidates of a question: all items but some that are left out, or the right item and some drawn ones.

N items, A allowed ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from catalog.data.items import Items
from catalog.text.prompts import TASKS
from trainer.data.histories import Histories
from trainer.data.questions import Question

NEGATIVES = 99  # wrong items drawn beside the right one


@dataclass(frozen=True, slots=True)
class Candidates:
    """Which leaves may be an answer: those that are allowed and not excluded.

    excluded: leaves in ascending order.
    allowed: leaves in ascending order; None allows all.
    """

    excluded: np.ndarray
    allowed: np.ndarray | None = None

    def best(self, score_N: np.ndarray, k: int) -> np.ndarray:
        """The k candidates with the highest scores, best first, equal ones in leaf order: int64 [k or fewer]."""
        leaf_A = np.arange(len(score_N)) if self.allowed is None else self.allowed
        leaf_A = leaf_A[~np.isin(leaf_A, self.excluded)]
        return leaf_A[np.argsort(-score_N[leaf_A], kind="stable")[:k]]


def whole_catalog(histories: Histories, questions: Sequence[Question], *, exclude_seen: bool) -> list[Candidates]:
    """Candidates from the whole catalog for every question.

    exclude_seen: whether recommendations leave out the items of the user's history.
    """
    none = np.empty(0, np.int64)
    return [
        Candidates(
            np.unique(histories.items_E[q.start : q.stop]) if exclude_seen and q.task == "recommendation" else none
        )
        for q in questions
    ]


def sampled_candidates(
    histories: Histories, questions: Sequence[Question], items: Items, *, seed: int
) -> list[Candidates]:
    """The right item and NEGATIVES others for every question, drawn uniformly from items that the user never took.

    If the catalog has no more, there are fewer. A draw depends on the seed, the question and the items' ids alone, so
    all methods get the same candidates, and so do bundles that number the same items differently.
    """
    leaf_of_rank_N = np.argsort(np.array(items.ids))
    return [_drawn(histories, question, leaf_of_rank_N, seed) for question in questions]


def _drawn(histories: Histories, question: Question, leaf_of_rank_N: np.ndarray, seed: int) -> Candidates:
    own = np.unique(histories.items_E[histories.span(question.user)])  # the right item among them
    generator = np.random.default_rng((seed, question.user, question.stop, TASKS.index(question.task)))
    enough = min(len(leaf_of_rank_N), NEGATIVES + len(own))
    drawn = leaf_of_rank_N[generator.choice(len(leaf_of_rank_N), enough, replace=False)]
    negatives = drawn[~np.isin(drawn, own)][:NEGATIVES]
    return Candidates(np.empty(0, np.int64), np.sort(np.append(negatives, question.item)))
