"""The report of a model: the metrics of its rankings for held-out questions, beside those of baselines.

There are two protocols. `full` ranks the whole catalog by constrained beam search; recommendations leave out what the
user already has. `candidates` ranks the right item among 99 drawn ones (candidates.py), by constrained search over just
those 100. In both, the model and the baselines are asked the same questions over the same candidates.

The right item of a search may stand in the user's history, from where it could be copied. So searches have, beside the
figures of all of them, those of both kinds, `known_item` and `new_item`. Recommendations are all of new items.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from transformers import PreTrainedModel

from catalog.data.items import Items
from catalog.ids.index import ItemIndex
from catalog.search.transformers import TransformersRanker
from catalog.text.prompts import TASKS, PromptFormat
from trainer.config.recipe import EvaluationRecipe
from trainer.data.histories import Histories, Question, Split
from trainer.evaluation.baselines import TunedBaselines
from trainer.evaluation.candidates import NEGATIVES, Candidates, sampled_candidates, whole_catalog
from trainer.evaluation.metrics import CUTOFFS, summarize_questions

Protocol = Literal["full", "candidates"]
Report = dict[str, Any]
MAX_CUTOFF = max(CUTOFFS)


def with_protocol(recipe: EvaluationRecipe, protocol: Protocol) -> EvaluationRecipe:
    """The settings for a protocol. For `candidates` the beam is as wide as there are, to rank them exactly."""
    return recipe.model_copy(update={"width": NEGATIVES + 1}) if protocol == "candidates" else recipe


def evaluate(
    model: PreTrainedModel,
    index: ItemIndex,
    level_tokens: Sequence[np.ndarray],
    prompts: PromptFormat,
    items: Items,
    split: Split,
    recipe: EvaluationRecipe,
    *,
    protocol: Protocol = "full",
    seed: int = 0,
    baselines: TunedBaselines | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Report:
    """The metrics of both tasks, for the model and the baselines, with bootstrap 95% intervals.

    model: the model, on any device.
    index: the index of the items' codes.
    level_tokens: the vocabulary ids of every level's codes, int64.
    prompts: renders histories and queries as tokens.
    items: the catalog, in leaf order.
    split: the questions, and the training histories and validation questions for the baselines.
    recipe: which questions, the width of the beam and other settings.
    seed: what the candidates are drawn from.
    baselines: those of this split, if they are tuned already.
    progress: called with the number of questions that have been answered since its last call.
    """
    ranker = TransformersRanker(model, index, level_tokens)
    baselines = baselines or TunedBaselines(items, split, exclude_seen=recipe.exclude_seen)
    tasks: dict[str, Any] = {}
    tuned: dict[str, Any] = {}
    for task in TASKS:
        questions = [q for q in split.questions(recipe.questions) if q.task == task]
        if not questions:
            continue
        if protocol == "full":
            candidates = whole_catalog(split.full, questions, exclude_seen=recipe.exclude_seen)
        else:
            candidates = sampled_candidates(split.full, questions, items, seed=seed)
        rankings = {"model": rank_questions(ranker, prompts, split.full, questions, candidates, recipe, progress)}
        rankings |= baselines.rank(task, questions, candidates, MAX_CUTOFF)
        tuned[task] = baselines.report(task)
        tasks[task] = {
            name: summarize_questions(found, questions, bootstrap=recipe.bootstrap) for name, found in rankings.items()
        }
    report: Report = {
        "protocol": f"{recipe.split}/{protocol}",
        "questions": recipe.questions,
        "catalog_size": len(items),
        "exclude_seen": recipe.exclude_seen,
        "beam_width": recipe.width,
        "tasks": tasks,
        "baselines": tuned,
    }
    if protocol == "candidates":
        drawn = "uniformly from the items that the user never took"
        report["candidates"] = {"negatives": NEGATIVES, "drawn": drawn, "seed": seed}
    return report


def rank_questions(
    ranker: TransformersRanker,
    prompts: PromptFormat,
    histories: Histories,
    questions: Sequence[Question],
    candidates: Sequence[Candidates],
    recipe: EvaluationRecipe,
    progress: Callable[[int], None] = lambda done: None,
) -> list[np.ndarray]:
    """The model's ranking for every question: its best leaves, int64 [width] each, from the prompt of a server.

    histories: all histories, to which the questions refer.
    candidates: the candidates of each question. Either all of them have allowed leaves, or none.
    progress: called with the number of questions that have been answered since its last call.
    """
    rendered = [_prompt(prompts, histories, question) for question in questions]
    rankings: list[np.ndarray] = [np.empty(0, np.int64)] * len(questions)
    by_length = sorted(range(len(questions)), key=lambda i: len(rendered[i]))
    for at in range(0, len(by_length), recipe.batch):
        batch = by_length[at : at + recipe.batch]
        allowed = [leaves for i in batch if (leaves := candidates[i].allowed) is not None]
        found = ranker.rank(
            [rendered[i] for i in batch],
            recipe.width,
            deny=[candidates[i].excluded for i in batch],
            allow=allowed or None,
        )
        for i, (leaves, _) in zip(batch, found, strict=True):
            rankings[i] = leaves
        progress(len(batch))
    return rankings


def _prompt(prompts: PromptFormat, histories: Histories, question: Question) -> list[int]:
    # Twice the window is enough for `render` to place the window's start where a server would.
    first = max(question.start, question.stop - 2 * prompts.max_history)
    history = histories.interactions(range(first, question.stop))
    return prompts.render(history, question.query, first=first - question.start)
