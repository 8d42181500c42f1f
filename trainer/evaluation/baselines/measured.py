"""The figures of all baselines on the test questions, which take no model and no torch."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from catalog.data.events import drop_unknown_items
from catalog.data.items import Items, read_items
from catalog.data.tombstones import read_kept_events, tombstone_files
from catalog.drained import event_files
from catalog.text.prompts import TASKS, Task
from trainer.config.recipe import EvaluationRecipe
from trainer.core.errors import TrainerError
from trainer.data.histories import Histories
from trainer.data.questions import Split, drawn_questions
from trainer.data.splits import SPLITS
from trainer.evaluation.baselines.tuned import TunedBaselines
from trainer.evaluation.candidates import whole_catalog
from trainer.evaluation.metrics import CUTOFFS, summarize_questions

__all__ = ["measure", "measure_files"]


def measure(items: Items, split: Split, *, exclude_seen: bool = True, seed: int = 0) -> dict[str, Any]:
    """The figures of every baseline: `tasks` and `baselines` as in a report, and the `seconds` that all of it took."""
    began = time.monotonic()
    tuned = TunedBaselines(items, split, exclude_seen=exclude_seen, seed=seed)
    figures = {task: _figures(tuned, split, task, exclude_seen) for task in TASKS}
    asked = [task for task in TASKS if figures[task]]
    return {
        "catalog_size": len(items),
        "users": len(split.train.users),
        "training_events": len(split.train),
        "tasks": {task: figures[task] for task in asked},
        "baselines": {task: tuned.report(task) for task in asked},
        "seconds": round(time.monotonic() - began, 1),
    }


def _figures(tuned: TunedBaselines, split: Split, task: Task, exclude_seen: bool) -> dict[str, Any]:
    questions = drawn_questions(split.test, task, EvaluationRecipe().max_questions)
    candidates = whole_catalog(split.full, questions, exclude_seen=exclude_seen)
    rankings = tuned.rank(task, questions, candidates, max(CUTOFFS)) if questions else {}
    return {name: summarize_questions(found, questions) for name, found in rankings.items()}


def measure_files(
    items_file: Path,
    events_files: Sequence[Path],
    *,
    split: str = "leave_one_out",
    exclude_seen: bool = True,
    seed: int = 0,
) -> dict[str, Any]:
    """As `measure`, of files, and the `protocol`.

    split: a name of SPLITS.

    Raises TrainerError where the split holds out no question, and CatalogError for damaged files.
    """
    items = Items(read_items(items_file))
    with event_files(events_files) as files:
        events, report = read_kept_events(files, tombstone_files(files))
    divided = SPLITS[split](Histories.from_events(drop_unknown_items(events, items.table["item_id"], report), items))
    if not divided.test:
        raise TrainerError(f"the split {split} holds out no question; users have too few events")
    return {"protocol": f"{split}/full", **measure(items, divided, exclude_seen=exclude_seen, seed=seed)}
