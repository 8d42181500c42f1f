"""Which held-out questions a bundle answers with a hit: the right item is among the first ten, of the whole catalog.

Q questions.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from catalog.bundle.bundle import open_bundle
from catalog.search.transformers import TransformersRanker
from catalog.text.prompts import TASKS, Task
from trainer.core.progress import progress
from trainer.evaluation.bundle import bundle_settings, held_out, load_model
from trainer.evaluation.candidates import whole_catalog
from trainer.evaluation.metrics import gains, ranks_of
from trainer.evaluation.ranking import rank_questions

__all__ = ["CUTOFF", "Hits", "held_out_hits"]

CUTOFF = 10

Hits = dict[Task, dict[tuple[str, int, str], bool]]
"""For each task, whether each question is a hit. A question is named by what all bundles share: the user's id, the
number of the event in the histories, and the item's id."""


def held_out_hits(folder: Path, events: Sequence[Path]) -> Hits:
    """The hits of a bundle, whose questions are asked as in its own evaluation.

    folder: the bundle's folder.
    events: the files of events from which the questions are held out.

    Raises TrainerError for settings of another version or events that do not exist, and CatalogError for a file that
    cannot be read.
    """
    bundle = open_bundle(folder)
    recipe = bundle_settings(bundle)
    split, _ = held_out(bundle, events, recipe)
    ranker = TransformersRanker(load_model(bundle), bundle.index, bundle.level_tokens, normalize=bundle.normalize)
    hits: Hits = {}
    with progress("ranking", len(split.test)) as shown:
        for task in TASKS:
            questions = [question for question in split.test if question.task == task]
            if not questions:
                continue
            candidates = whole_catalog(split.full, questions, exclude_seen=recipe.exclude_seen)
            ranked = rank_questions(ranker, bundle.prompts, split.full, questions, candidates, recipe, shown.advance)
            rank_Q = ranks_of([one.leaves for one in ranked], np.array([question.item for question in questions]))
            names = [
                (split.full.users[question.user], question.stop, bundle.items.ids[question.item])
                for question in questions
            ]
            hits[task] = dict(zip(names, (gains(rank_Q, "hit", CUTOFF) > 0).tolist(), strict=True))
    return hits
