"""Chooses how many beams a guided search needs: the fewest that find what a very wide search finds.

A guided search looks ahead to the prior of everything below a beam, so it needs fewer beams than the model alone. How
few differs from catalog to catalog, and is measured on validation questions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from catalog.search.guidance import Prior, StaticPrior
from catalog.search.transformers import TransformersRanker
from catalog.text.prompts import Task

__all__ = ["ENOUGH", "TOP", "WIDEST", "WIDTHS", "ChosenWidth", "GuidedQuestions", "choose_width"]

WIDTHS = (10, 12, 16, 20, 24, 32, 40, 50)
"""That are tried, in this order."""
WIDEST = 200
"""Beams of the search that the others are compared with; all items where there are fewer."""
TOP = 10
"""Items of an answer that are compared."""
ENOUGH = 0.99
"""The share of them that a search must find, on average, in every task."""
MAX_QUESTIONS = 150
"""Validation questions of a task that are asked, the first ones."""
MIN_QUESTIONS = 30
"""Validation questions of both tasks below which nothing is chosen."""


@dataclass(frozen=True, slots=True)
class GuidedQuestions:
    """Questions of one task: their prompts as token ids, what guides each search, and the leaves that it leaves out."""

    prompts: Sequence[Sequence[int]]
    priors: Sequence[Prior]
    denied: Sequence[np.ndarray]

    def __len__(self) -> int:
        return len(self.prompts)

    def first(self, count: int) -> GuidedQuestions:
        """So many of them."""
        return GuidedQuestions(self.prompts[:count], self.priors[:count], self.denied[:count])


@dataclass(frozen=True, slots=True)
class ChosenWidth:
    """How many beams guided searches need.

    width: the fewest that are enough; None where none of WIDTHS is, or where too few questions were there.
    shares: by width, the share of the best items that was found in each task.
    questions: how many questions of each task were asked.
    widest: beams of the search that found the best items.
    """

    width: int | None
    shares: Mapping[int, Mapping[Task, float]]
    questions: Mapping[Task, int]
    widest: int

    def as_json(self) -> dict[str, Any]:
        """All of it, and what was asked for."""
        shares = {
            str(width): {task: round(share, 4) for task, share in own.items()} for width, own in self.shares.items()
        }
        return {
            "width": self.width,
            "enough": ENOUGH,
            "top": TOP,
            "widest": self.widest,
            "questions": dict(self.questions),
            "shares": shares,
        }


def choose_width(ranker: TransformersRanker, asked: Mapping[Task, GuidedQuestions], static: StaticPrior) -> ChosenWidth:
    """The smallest of WIDTHS that is enough; wider ones are not tried."""
    asked = {task: questions.first(MAX_QUESTIONS) for task, questions in asked.items() if len(questions) > 0}
    counts = {task: len(questions) for task, questions in asked.items()}
    widest = min(WIDEST, len(ranker.index))
    if sum(counts.values()) < MIN_QUESTIONS:
        return ChosenWidth(None, {}, counts, widest)

    def best(questions: GuidedQuestions, width: int) -> list[np.ndarray]:
        found = ranker.rank(questions.prompts, width, deny=questions.denied, priors=questions.priors, static=static)
        return [leaves[:TOP] for leaves, _ in found]

    wanted = {task: best(questions, widest) for task, questions in asked.items()}
    shares: dict[int, dict[Task, float]] = {}
    for width in WIDTHS:
        shares[width] = {task: _share(best(questions, width), wanted[task]) for task, questions in asked.items()}
        if min(shares[width].values()) >= ENOUGH:
            return ChosenWidth(width, shares, counts, widest)
    return ChosenWidth(None, shares, counts, widest)


def _share(found: Sequence[np.ndarray], wanted: Sequence[np.ndarray]) -> float:
    """Of the wanted items, that which was found, on average over the questions that want any."""
    shares = [np.isin(all_K, own_K).mean() for own_K, all_K in zip(found, wanted, strict=True) if len(all_K) > 0]
    return float(np.mean(shares)) if shares else 1.0
