"""Which held-out questions a bundle answers rightly: the item is among the first ten of the whole catalog."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from catalog.bundle.bundle import open_bundle
from catalog.search.transformers import TransformersRanker
from catalog.text.prompts import TASKS, Task
from trainer.analysis.restored import split_of
from trainer.core.progress import progress
from trainer.evaluation.bundle import bundle_settings, load_model
from trainer.evaluation.candidates import whole_catalog
from trainer.evaluation.metrics import MISSED, ranks_of
from trainer.evaluation.report import rank_questions

__all__ = ["CUTOFF", "Answers", "right_answers"]

CUTOFF = 10

Answers = dict[Task, dict[tuple[str, int, str], bool]]
"""By task; a question is the user, the place in their history and the item's id, which all bundles share."""


def right_answers(folder: Path, events: Path) -> Answers:
    """Asked as in the bundle's own evaluation. Raises TrainerError or CatalogError."""
    bundle = open_bundle(folder)
    recipe, split = bundle_settings(bundle), split_of(bundle, events)
    ranker = TransformersRanker(load_model(bundle), bundle.index, bundle.level_tokens)
    answers: Answers = {}
    with progress("ranking", len(split.test)) as shown:
        for task in TASKS:
            questions = [question for question in split.test if question.task == task]
            if not questions:
                continue
            candidates = whole_catalog(split.full, questions, exclude_seen=recipe.exclude_seen)
            found = rank_questions(ranker, bundle.prompts, split.full, questions, candidates, recipe, shown.advance)
            rank_Q = ranks_of(found, np.array([question.item for question in questions]))
            names = [
                (split.full.users[question.user], question.stop, bundle.items.ids[question.item])
                for question in questions
            ]
            answers[task] = dict(zip(names, ((rank_Q != MISSED) & (rank_Q <= CUTOFF)).tolist(), strict=True))
    return answers
