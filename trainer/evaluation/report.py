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
from catalog.search.level_heads import Normalization
from catalog.search.transformers import TransformersRanker
from catalog.text.prompts import TASKS, PromptFormat
from trainer.config.recipe import EvaluationRecipe
from trainer.data.questions import Split, count_questions, drawn_questions
from trainer.evaluation.baselines import TunedBaselines
from trainer.evaluation.candidates import NEGATIVES, sampled_candidates, whole_catalog
from trainer.evaluation.guidance import LearnedGuidance, learn_guidance
from trainer.evaluation.metrics import CUTOFFS, summarize_questions
from trainer.evaluation.ranking import rank_questions

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
    normalize: Normalization = "codes",
    seed: int = 0,
    baselines: TunedBaselines | None = None,
    guidance: LearnedGuidance | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Report:
    """The metrics of both tasks for the model, its prior, both joined, and the baselines, with bootstrap 95% intervals.

    Validation questions are asked of the model alone: baselines are tuned on them, and guidance is learned from them.
    So are all where `recipe.alone` says so.
    Where more questions of a task are held out than are asked, `held_out` says how many there are of both tasks.

    model: the model, on any device.
    index: the index of the items' codes.
    level_tokens: the vocabulary ids of every level's codes, int64.
    prompts: renders histories and queries as tokens.
    items: the catalog, in leaf order.
    split: the questions, and the training histories and validation questions for the baselines.
    recipe: which questions, the width of the beam and other settings.
    normalize: what the probabilities of a level sum to one over, as the model was trained.
    seed: what the candidates are drawn from.
    baselines: those of this split, if they are tuned already.
    guidance: that of this model and split, if it is learned already.
    progress: called with the number of questions that have been answered since its last call.
    """
    ranker = TransformersRanker(model, index, level_tokens, normalize=normalize)
    if recipe.of_model_alone:
        baselines = guidance = None
    else:
        baselines = baselines or TunedBaselines(items, split, exclude_seen=recipe.exclude_seen)
        guidance = guidance or learn_guidance(ranker, prompts, items, split, exclude_seen=recipe.exclude_seen)
    held_out = split.questions(recipe.part)
    tasks: dict[str, Any] = {}
    tuned: dict[str, Any] = {}
    calibration: dict[str, Any] = {}
    for task in TASKS:
        questions = drawn_questions(held_out, task, recipe.max_questions)
        if not questions:
            continue
        if protocol == "full":
            candidates = whole_catalog(split.full, questions, exclude_seen=recipe.exclude_seen)
        else:
            candidates = sampled_candidates(split.full, questions, items, seed=seed)
        asked = (ranker, prompts, split.full, questions, candidates, recipe)
        alone = rank_questions(*asked, progress)
        rankings = {"model": [leaves for leaves, _ in alone]}
        if guidance is not None:
            said = guidance.asked(split.full, questions)
            priors = guidance.priors_of(task, said)
            rankings["prior"] = guidance.rank_alone(task, said, candidates, MAX_CUTOFF)
            guided = rank_questions(*asked, priors=priors, static=guidance.static)  # each counts as answered once
            rankings["guided"] = [leaves for leaves, _ in guided]
            if protocol == "full":  # among few candidates, the right one is likelier than it is said to be
                calibration[task] = guidance.reliability(task, said, questions, {"guided": guided, "model": alone})
        if baselines is not None:
            rankings |= baselines.rank(task, questions, candidates, MAX_CUTOFF)
            tuned[task] = baselines.report(task)
        tasks[task] = {
            name: summarize_questions(found, questions, bootstrap=recipe.bootstrap) for name, found in rankings.items()
        }
    report: Report = {
        "protocol": f"{recipe.split}/{protocol}",
        "questions": recipe.part,
        "catalog_size": len(items),
        "exclude_seen": recipe.exclude_seen,
        "beam_width": recipe.width,
        "tasks": tasks,
        "baselines": tuned,
    }
    if count_questions(held_out, recipe.max_questions) < len(held_out):
        report["held_out"] = len(held_out)
    if guidance is not None:
        report["guidance"] = guidance.as_json()
        report["guided_width"] = guidance.width.as_json()
        report["calibration"] = calibration
    if protocol == "candidates":
        drawn = "uniformly from the items that the user never took"
        report["candidates"] = {"negatives": NEGATIVES, "drawn": drawn, "seed": seed}
    return report
