"""Measures the baselines alone, which takes no model and no torch:

    python -m trainer.evaluation.baselines --items data/items.parquet --events data/events.parquet \
        [--split leave_one_out] [--json baselines.json]

Every baseline is fitted on the training events, tuned on the validation questions, and asked the test questions over
the whole catalog, as in the report of a training run.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from trainer.core.command import exit_status
from trainer.core.progress import print_line
from trainer.data.splits import SPLITS
from trainer.evaluation.baselines.measured import measure_files
from trainer.evaluation.table import table


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table; returns the exit status."""
    return exit_status("trainer.evaluation.baselines", partial(_measure, _parse(arguments)))


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
