"""Draws how well the relevance of items holds, from the report of a bundle:

    python -m trainer.analysis.reliability --report bundles/current [--picture reliability.png]

`--report` is a `report.json` or a bundle that holds one. Every bin of test items is a point: how likely its items are
said to be right, and how many are. On the diagonal both are the same.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from trainer.analysis.plots import picture
from trainer.core.command import exit_status
from trainer.core.errors import TrainerError

KINDS = {"guided": "guided", "model": "model alone"}
COLOURS = {"guided": "tab:blue", "model": "tab:orange"}


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m trainer.analysis.reliability", description="How relevance holds.")
    parser.add_argument("--report", type=Path, required=True, help="a report.json, or a bundle that has one")
    parser.add_argument("--picture", type=Path, help="write the picture to this file, a PNG")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the calibration errors. The exit status is 0, or 2 if the report has none."""
    return exit_status("trainer.analysis.reliability", partial(_show, parse(arguments)))


def calibrated(report: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The calibrations of each task that has any. Raises TrainerError where no task has."""
    found = {task: own for task, own in report.get("calibration", {}).items() if own}
    if not found:
        raise TrainerError(
            "the report has no calibration: it is of before there were any, of another protocol than `full`, or of too "
            "few validation questions"
        )
    return found


def draw(found: Mapping[str, Mapping[str, Any]], file: Path) -> None:
    """A panel for each task: the ten best items of each answer as dots, the first of each as rings. file: a PNG."""
    with picture(file, columns=len(found), width=4.5) as panels:
        for panel, (task, kinds) in zip(panels, found.items(), strict=True):
            for kind, own in kinds.items():
                for bins, label, fill in (
                    (own["test"]["bins"], f"{KINDS[kind]}, ten items", COLOURS[kind]),
                    (own["test"]["first"]["bins"], f"{KINDS[kind]}, the first", "none"),
                ):
                    said, right = ([one[name] for one in bins] for name in ("relevance", "right"))
                    panel.plot(said, right, "o", color=COLOURS[kind], markerfacecolor=fill, label=label)
            most = max(panel.get_xlim()[1], panel.get_ylim()[1])
            panel.plot([0, most], [0, most], color="grey", linewidth=0.8, zorder=0)
            panel.set(title=task, xlabel="relevance", ylabel="share of right items", xlim=(0, most), ylim=(0, most))
            panel.legend()


def _show(options: argparse.Namespace) -> None:
    file = options.report / "report.json" if options.report.is_dir() else options.report
    try:
        report = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TrainerError(f"{file} cannot be read: {error}") from error
    found = calibrated(report)
    for task, kinds in found.items():
        for kind, own in kinds.items():
            of_ten, of_first = own["test"], own["test"]["first"]
            print(
                f"{task}, {KINDS[kind]}: expected calibration error {of_ten['expected_calibration_error']:.4f} of "
                f"{of_ten['items']} items, {of_first['expected_calibration_error']:.4f} of the first of each answer"
            )
    if options.picture is not None:
        draw(found, options.picture)


if __name__ == "__main__":
    raise SystemExit(main())
