"""Ranks the catalog for held-out questions, with the prompts of a server."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from catalog.search.beam import Ranked
from catalog.search.guidance import Prior, StaticPrior
from catalog.search.transformers import TransformersRanker
from catalog.text.prompts import PromptFormat
from trainer.config.recipe import EvaluationRecipe
from trainer.data.histories import Histories
from trainer.data.questions import Question
from trainer.evaluation.candidates import Candidates

__all__ = ["question_prompt", "rank_questions"]


def rank_questions(
    ranker: TransformersRanker,
    prompts: PromptFormat,
    histories: Histories,
    questions: Sequence[Question],
    candidates: Sequence[Candidates],
    recipe: EvaluationRecipe,
    progress: Callable[[int], None] = lambda done: None,
    *,
    priors: Sequence[Prior] | None = None,
    static: StaticPrior | None = None,
) -> list[Ranked]:
    """The ranking for every question: the best leaves with their scores, from the prompt of a server.

    histories: all histories, to which the questions refer.
    candidates: the candidates of each question. Either all of them have allowed leaves, or none.
    progress: called with the number of questions that have been answered since its last call.
    priors: what guides the search for each question; None ranks by the model alone.
    static: the static prior of all items, which the priors weigh.
    """
    rendered = [question_prompt(prompts, histories, question) for question in questions]
    rankings: list[Ranked] = [Ranked(np.empty(0, np.int64), np.empty(0, np.float32))] * len(questions)
    by_length = sorted(range(len(questions)), key=lambda i: len(rendered[i]))
    for at in range(0, len(by_length), recipe.batch):
        batch = by_length[at : at + recipe.batch]
        allowed = [leaves for i in batch if (leaves := candidates[i].allowed) is not None]
        found = ranker.rank(
            [rendered[i] for i in batch],
            recipe.width,
            deny=[candidates[i].excluded for i in batch],
            allow=allowed or None,
            priors=None if priors is None else [priors[i] for i in batch],
            static=static,
        )
        for i, ranked in zip(batch, found, strict=True):
            rankings[i] = ranked
        progress(len(batch))
    return rankings


def question_prompt(prompts: PromptFormat, histories: Histories, question: Question) -> list[int]:
    """The prompt of a server for a question, as token ids."""
    # Twice the window is enough for `render` to place the window's start where a server would.
    first = max(question.start, question.stop - 2 * prompts.max_history)
    history = histories.interactions(range(first, question.stop))
    return prompts.render(history, question.query, first=first - question.start)
