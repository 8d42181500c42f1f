"""Choices: what the candidates of held-out questions are like, by which weights are learned.

C candidates of a question, F features, of which the first is the model's log-probability.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from catalog.priors.priors import FEATURES, Priors
from catalog.priors.priors import Candidates as PriorCandidates
from catalog.search.transformers import TransformersRanker
from catalog.text.prompts import PromptFormat
from trainer.data.histories import Histories
from trainer.data.questions import Question, left_beside, shown_before
from trainer.evaluation.candidates import whole_catalog
from trainer.evaluation.guidance.conditional_logit import Choice
from trainer.evaluation.ranking import question_prompt

__all__ = ["choices_of", "half_typed", "said_of"]

MODEL_WIDTH = 50
"""The model's best items that are candidates."""
MIN_HALF = 2
"""Letters of the shortest half of a query."""


def half_typed(questions: Sequence[Question]) -> dict[int, Question]:
    """The questions when half of the letters of their queries are typed, by their places; without those of which that
    is hardly anything."""
    halves = {}
    for place, question in enumerate(questions):
        query = (question.query or "").strip()
        half = query[: (len(query) + 1) // 2].rstrip()
        if len(half) >= MIN_HALF:
            halves[place] = replace(question, query=half)
    return halves


def said_of(priors: Priors, histories: Histories, question: Question) -> PriorCandidates:
    """What the sources say about a held-out question."""
    history_H = histories.items_E[question.start : question.stop]
    return priors.candidates(question.query, history_H, shown=shown_before(histories, question))


def choices_of(
    ranker: TransformersRanker,
    prompts: PromptFormat,
    priors: Priors,
    histories: Histories,
    asked: Mapping[int, Question],
    *,
    exclude_seen: bool,
) -> list[Choice]:
    """What each of the questions is like, in their order. What the answer to one showed is among its candidates.

    asked: by their numbers.
    exclude_seen: whether recommendations leave out the items of the user's history.
    """
    if not asked:
        return []
    questions = list(asked.values())
    candidates = whole_catalog(histories, questions, exclude_seen=exclude_seen)
    rendered = [question_prompt(prompts, histories, question) for question in questions]
    own = ranker.rank(rendered, MODEL_WIDTH, deny=[one.excluded for one in candidates])
    found = [said_of(priors, histories, question) for question in questions]
    left = [left_beside(histories, question) for question in questions]
    listed = [
        np.setdiff1d(np.concatenate([prior.item_C, leaves, left_L]), one.excluded)
        for prior, (leaves, _), left_L, one in zip(found, own, left, candidates, strict=True)
    ]
    scored = ranker.rank(rendered, max(map(len, listed), default=1), allow=listed)
    choices = []
    told = zip(asked.items(), found, listed, left, scored, strict=True)
    for (number, question), prior, item_C, left_L, (leaves, scores) in told:
        right = np.flatnonzero(item_C == question.item).tolist()
        value_CF = np.zeros((len(item_C), 1 + len(FEATURES)))
        value_CF[np.searchsorted(item_C, leaves), 0] = scores
        value_CF[:, -1] = priors.popularity_N[item_C]
        here_C = np.isin(item_C, prior.item_C)
        value_CF[here_C, 1:] = prior.value_CF[np.searchsorted(prior.item_C, item_C[here_C])]
        shown_C = np.isin(item_C, [*left_L, question.item]) if len(left_L) > 0 else None
        choices.append(Choice(value_CF, right[0] if right else None, number, prior.value_CF, shown_C))
    return choices
