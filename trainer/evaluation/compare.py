"""Compares a new bundle with the one that it would replace, on the same held-out questions:

    python -m trainer.evaluation.compare --old bundles/A --new bundles/B --events data/events.parquet \\
        [--metric ndcg@10] [--tolerance 0.02] [--json comparison.json]

Questions are held out of the events as in training. A question counts if both bundles hold it out, so that neither was
trained on it, and both know the right item. The new model is not worse if, for every task, the bootstrap 95% interval
of the paired difference lies above minus the tolerance.

The exit status is 0 for a new model that is not worse, 3 for one that is or may be worse, and 2 where nothing could be
compared.

Where there are more than `evaluation.max_questions` of the new bundle's run, those of some users are asked.

B bundles, Q questions, U users.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from catalog.bundle.bundle import Bundle, open_bundle
from catalog.text.prompts import TASKS, Task
from trainer.config.recipe import EvaluationRecipe
from trainer.core.command import exit_status
from trainer.core.errors import TrainerError
from trainer.core.progress import progress
from trainer.data.event_order import digests
from trainer.data.questions import Question, Questions, Split
from trainer.evaluation.candidates import whole_catalog
from trainer.evaluation.confidence import Estimate, mean_estimate
from trainer.evaluation.metrics import CUTOFFS, METRICS, MIN_QUESTIONS, gains, ranks_of

NOT_BETTER = 3
DIGESTED = 100_000
"""Users whose ids are in memory at once."""
NAMES = tuple(f"{metric}@{cutoff}" for metric in METRICS for cutoff in CUTOFFS)

Key = tuple[str, Task, str, str | None]
"""What names a question in any bundle: the user's id, the task, the right item's id, and the query."""


@dataclass(frozen=True, slots=True)
class Compared:
    """The comparison for one task.

    questions: how many questions were asked.
    old, new: the mean of the metric for each model.
    difference: the mean of the paired difference, new minus old.
    """

    questions: int
    old: float
    new: float
    difference: Estimate

    def not_worse(self, tolerance: float) -> bool:
        return min(self.difference.value, self.difference.low) > -tolerance


def compare(old: Bundle, new: Bundle, events: Sequence[Path], metric: str) -> dict[Task, Compared]:
    """The comparison for each task, over the questions that both bundles hold out.

    metric: such as "ndcg@10".

    Raises TrainerError where no question is held out by both.
    """
    from trainer.evaluation.bundle import bundle_settings, held_out, in_words  # imports torch, which takes seconds

    recipe = bundle_settings(new)
    splits = [held_out(bundle, events, recipe)[0] for bundle in (old, new)]
    share = recipe.max_questions / max(1, *(len(split.test) for split in splits))
    questions = [_by_key(bundle, split, share) for bundle, split in zip((old, new), splits, strict=True)]
    shared = [key for key in questions[1] if key in questions[0]]
    if not shared:
        raise TrainerError(f"{in_words(events)}: {old.version} and {new.version} have no held-out question in common")
    gains_BQ = [
        _gains(bundle, split, [asked[key] for key in shared], recipe, metric)
        for bundle, split, asked in zip((old, new), splits, questions, strict=True)
    ]
    compared: dict[Task, Compared] = {}
    for task in TASKS:
        of_task_Q = np.array([key[1] == task for key in shared])
        if of_task_Q.any():
            before_Q, after_Q = (gains_Q[of_task_Q] for gains_Q in gains_BQ)
            difference = mean_estimate(after_Q - before_Q)
            compared[task] = Compared(len(after_Q), float(before_Q.mean()), float(after_Q.mean()), difference)
    return compared


def table(compared: Mapping[Task, Compared], metric: str, tolerance: float) -> str:
    """The comparison as plain text, one line for each task."""
    lines = [f"{'task':15}{'questions':>10}{f'old {metric}':>16}{f'new {metric}':>16}  difference (95%)"]
    for task, figures in compared.items():
        change = figures.difference
        verdict = "not worse" if figures.not_worse(tolerance) else f"may be worse by more than {tolerance:g}"
        lines.append(
            f"{task:15}{figures.questions:10}{figures.old:16.4f}{figures.new:16.4f}"
            f"  {change.value:+.4f} ({change.low:+.4f} to {change.high:+.4f}): {verdict}"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table and the decision; returns the exit status."""
    return exit_status("trainer.evaluation.compare", partial(_compare, _parse(arguments)))


def _compare(options: argparse.Namespace) -> int:
    old, new = open_bundle(options.old), open_bundle(options.new)

    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # of transformers, which has one for every file
    compared = compare(old, new, options.events, options.metric)
    good = all(figures.not_worse(options.tolerance) for figures in compared.values())
    print(table(compared, options.metric, options.tolerance))
    print(f"{new.version} is {'not worse than' if good else 'not shown to be as good as'} {old.version}")
    if options.json is not None:
        report = {
            "old": old.version,
            "new": new.version,
            "metric": options.metric,
            "tolerance": options.tolerance,
            "not_worse": good,
            "tasks": {task: _as_json(figures) for task, figures in compared.items()},
        }
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0 if good else NOT_BETTER


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m trainer.evaluation.compare", description="Compare two published bundles on held-out events."
    )
    parser.add_argument("--old", type=Path, required=True, help="the bundle that is served")
    parser.add_argument("--new", type=Path, required=True, help="the bundle that may take its place")
    parser.add_argument(
        "--events",
        type=Path,
        required=True,
        action="append",
        metavar="FILE",
        help="events.parquet or events.jsonl, or a folder of `gemserve drain`, once for each",
    )
    parser.add_argument("--metric", choices=NAMES, default="ndcg@10", metavar="NAME@K", help="default: ndcg@10")
    parser.add_argument("--tolerance", type=float, default=0.02, help="how much worse is still accepted (0.02)")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    return parser.parse_args(arguments)


def _by_key(bundle: Bundle, split: Split, share: float) -> dict[Key, Question]:
    """The test questions of a share of the users, who are the same in any bundle, by what names them."""
    users, items, test = split.full.users, bundle.items.ids, split.test
    if share < 1 and isinstance(test, Questions):
        test = test.of_users(_drawn(users, share))
    return {(users[q.user], q.task, items[q.item], q.query): q for q in test}


def _drawn(users: Sequence[str], share: float) -> np.ndarray:
    """Which users are among a share of all, by digests of their ids: bool [U]."""
    most = np.uint64(share * float(np.iinfo(np.uint64).max))
    blocks = (users[begin : begin + DIGESTED] for begin in range(0, len(users), DIGESTED))
    return np.concatenate([np.empty(0, bool), *(digests(block, seed=0) <= most for block in blocks)])


def _gains(
    bundle: Bundle, split: Split, questions: Sequence[Question], recipe: EvaluationRecipe, metric: str
) -> np.ndarray:
    """What each question contributes to the metric, float64 [Q]."""
    from catalog.search.transformers import TransformersRanker
    from trainer.evaluation.bundle import load_model
    from trainer.evaluation.ranking import rank_questions

    name, _, cutoff = metric.partition("@")
    ranker = TransformersRanker(load_model(bundle), bundle.index, bundle.level_tokens, normalize=bundle.normalize)
    candidates = whole_catalog(split.full, questions, exclude_seen=recipe.exclude_seen)
    with progress(f"asking {bundle.version}", len(questions)) as shown:
        ranked = rank_questions(ranker, bundle.prompts, split.full, questions, candidates, recipe, shown.advance)
    return gains(ranks_of([one.leaves for one in ranked], np.array([q.item for q in questions])), name, int(cutoff))


def _as_json(figures: Compared) -> dict[str, object]:
    few = {"few": True} if figures.questions < MIN_QUESTIONS else {}
    return {
        "questions": figures.questions,
        **few,
        "old": round(figures.old, 6),
        "new": round(figures.new, 6),
        "difference": figures.difference.as_json(),
    }


if __name__ == "__main__":
    raise SystemExit(main())
