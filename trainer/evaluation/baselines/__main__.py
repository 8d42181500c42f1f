"""Measures the baselines alone, which takes no model and no torch:

    python -m trainer.evaluation.baselines --items data/items.parquet --events data/events.parquet \
        [--split leave_one_out] [--json baselines.json]

Every baseline is fitted on the training events, tuned on the validation questions, and asked the test questions over
the whole catalog, as in the report of a training run.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from catalog.data.events import drop_unknown_items
from catalog.data.items import Items, read_items
from catalog.data.tombstones import read_kept_events, tombstone_files
from catalog.drained import event_files
from catalog.text.prompts import TASKS, Task
from trainer.config.recipe import EvaluationRecipe
from trainer.core.command import exit_status
from trainer.core.errors import TrainerError
from trainer.core.progress import print_line
from trainer.data.histories import Histories
from trainer.data.questions import Split, drawn_questions
from trainer.data.splits import SPLITS
from trainer.evaluation.baselines.tuned import TunedBaselines
from trainer.evaluation.candidates import whole_catalog
from trainer.evaluation.metrics import CUTOFFS, summarize_questions
from trainer.evaluation.table import table


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table; returns the exit status."""
    return exit_status("trainer.evaluation.baselines", partial(_measure, _parse(arguments)))


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


def _measure(options: argparse.Namespace) -> int:
    result = measure_files(options.items, options.events, split=options.split, seed=options.seed)
    print_line(f"{table(result)}\n\n{_tuned(result)}")
    if options.json is not None:
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


def _tuned(report: dict[str, Any]) -> str:
    """What was tuned, a line for each task and method."""
    lines = [f"{'':34}validation: recall@10, ndcg@10, settings"]
    for task, methods in report["baselines"].items():
        for name, own in methods.items():
            recall, ndcg = (own["validation"].get(f"{metric}@10", np.nan) for metric in ("recall", "ndcg"))
            settings = " ".join(f"{key}={value}" for key, value in own["settings"].items())
            lines.append(f"{task:15}{name:19}{recall:.3f} {ndcg:.3f} {settings}".rstrip())
    return "\n".join(lines)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m trainer.evaluation.baselines", description="Measure the baselines."
    )
    parser.add_argument("--items", type=Path, required=True, help="items.parquet or items.jsonl")
    parser.add_argument(
        "--events", type=Path, required=True, action="append", metavar="FILE", help="once for each file of events"
    )
    parser.add_argument("--split", choices=sorted(SPLITS), default="leave_one_out", help="default: leave_one_out")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn while tuning (0)")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    raise SystemExit(main())
