"""How well a model answers held-out questions, beside what is known to work without one.

Protocol `leave_one_out/full`: every user's last event of each task, ranked against the whole catalogue by constrained
beam search. Recommendations leave out what the user already has, for the model and the baselines alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from transformers import PreTrainedModel

from catalog.index import ItemIndex
from catalog.items import Items
from catalog.prompts import TASKS, PromptFormat, Task
from catalog.search.transformers import TransformersRanker
from trainer.baselines import bm25, documents_with_queries, item_knn, popularity
from trainer.histories import Histories, Question, Split
from trainer.ranking import CUTOFFS, ranks_of, summarize
from trainer.recipe import EvaluationRecipe

Report = dict[str, Any]
LONGEST = max(CUTOFFS)


def rank_questions(
    ranker: TransformersRanker,
    prompts: PromptFormat,
    histories: Histories,
    questions: Sequence[Question],
    recipe: EvaluationRecipe,
    progress: Callable[[int], None] = lambda done: None,
) -> list[np.ndarray]:
    """The model's best leaves for every question, int64 [width] each. Prompts are what a server would render."""
    rendered = [_prompt(prompts, histories, question) for question in questions]
    excluded = seen_items(histories, questions, recipe)
    rankings: list[np.ndarray] = [np.empty(0, np.int64)] * len(questions)
    by_length = sorted(range(len(questions)), key=lambda i: len(rendered[i]))
    for at in range(0, len(by_length), recipe.batch):
        batch = by_length[at : at + recipe.batch]
        found = ranker.rank([rendered[i] for i in batch], recipe.width, excluded=[excluded[i] for i in batch])
        for i, (leaves, _) in zip(batch, found, strict=True):
            rankings[i] = leaves
        progress(len(batch))
    return rankings


def seen_items(histories: Histories, questions: Sequence[Question], recipe: EvaluationRecipe) -> list[np.ndarray]:
    """What each question's answer must not contain, sorted: the user's items before it, for recommendations."""
    none = np.empty(0, np.int64)
    return [
        np.unique(histories.items_E[q.start : q.stop]) if recipe.exclude_seen and q.task == "recommendation" else none
        for q in questions
    ]


def evaluate(
    model: PreTrainedModel,
    index: ItemIndex,
    level_tokens: Sequence[np.ndarray],
    prompts: PromptFormat,
    items: Items,
    split: Split,
    recipe: EvaluationRecipe,
    *,
    progress: Callable[[int], None] = lambda done: None,
) -> Report:
    """The report of a bundle: both tasks, the model beside the baselines, with bootstrap 95% intervals."""
    ranker = TransformersRanker(model, index, level_tokens)
    tasks: dict[str, Any] = {}
    for task in TASKS:
        questions = [q for q in split.test if q.task == task]
        if not questions:
            continue
        rankings = {"model": rank_questions(ranker, prompts, split.full, questions, recipe, progress)}
        rankings |= _baselines(task, questions, items, split, recipe)
        answers = np.array([q.item for q in questions])
        tasks[task] = {
            name: summarize(ranks_of(found, answers), bootstrap=recipe.bootstrap) for name, found in rankings.items()
        }
    return {
        "protocol": f"{recipe.split}/full",
        "catalogue_size": len(items),
        "exclude_seen": recipe.exclude_seen,
        "beam_width": recipe.width,
        "tasks": tasks,
    }


def _prompt(prompts: PromptFormat, histories: Histories, question: Question) -> list[int]:
    # Twice the window is enough for `render` to place the window's start where a server would.
    first = max(question.start, question.stop - 2 * prompts.max_history)
    history = histories.interactions(range(first, question.stop))
    return prompts.render(history, question.query, first=first - question.start)


def _baselines(
    task: Task, questions: Sequence[Question], items: Items, split: Split, recipe: EvaluationRecipe
) -> dict[str, list[np.ndarray]]:
    if task == "search":
        return {
            "bm25": bm25(items.texts(), questions, LONGEST),
            "bm25_with_queries": bm25(documents_with_queries(items, split.train), questions, LONGEST),
        }
    excluded = seen_items(split.full, questions, recipe)
    return {
        "popularity": popularity(split, excluded, len(items), LONGEST),
        "item_knn": item_knn(split, questions, excluded, len(items), LONGEST),
    }
