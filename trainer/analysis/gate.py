"""Shows the gate over the steps of a training run, and the losses beside it:

    python -m trainer.analysis.gate --log bundles/current [--json gate.json] [--picture gate.png] [--smooth 25]

`--log` is a step log (`training.jsonl`) or a bundle that holds one.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from trainer.analysis.plots import picture
from trainer.core.command import exit_status
from trainer.core.errors import TrainerError
from trainer.runtime.step_log import FILE_NAME, StepRecord, read_step_log

GATES = {"search": "α_s", "recommendation": "α_r"}
"""The name, among a step's figures, of each task's gate."""


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m trainer.analysis.gate", description="The gate of a training run.")
    parser.add_argument("--log", type=Path, required=True, help=f"a step log, or a bundle that has {FILE_NAME}")
    parser.add_argument("--smooth", type=int, default=25, help="steps that the drawn lines average over (default: 25)")
    parser.add_argument("--json", type=Path, help="write the values to this file")
    parser.add_argument("--picture", type=Path, help="write the picture to this file, a PNG")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the first and the last gates. The exit status is 0, or 2 if there are none."""
    return exit_status("trainer.analysis.gate", partial(_show, parse(arguments)))


def gate_series(records: Sequence[StepRecord]) -> dict[str, Any]:
    """The series to draw: the numbers of the steps as `steps`, and by task `gates` and `losses`, a value a step.

    A loss is None if the step's batch lacks the task. Raises TrainerError if no step has gates.
    """
    gated = [record for record in records if all(name in record.figures for name in GATES.values())]
    if not gated:
        raise TrainerError("no step of the log has gates: only method=gems with gems.decomposition has them")
    return {
        "steps": [record.step for record in gated],
        "gates": {task: [record.figures[name] for record in gated] for task, name in GATES.items()},
        "losses": {task: [record.losses.get(task) for record in gated] for task in GATES},
    }


def draw(series: dict[str, Any], file: Path, *, smooth: int) -> None:
    """Draws gates on the left and losses on the right: every step in a pale colour, their running mean in a strong one.

    series: what `gate_series` returned.
    file: the PNG to write.
    smooth: how many steps the running mean is taken over.
    """
    with picture(file, columns=2) as panels:
        for panel, name in zip(panels, ("gates", "losses"), strict=True):
            for colour, (task, values) in zip(("tab:blue", "tab:orange"), series[name].items(), strict=True):
                value_N = np.array(values, dtype=float)  # None becomes nan, which is not drawn
                panel.plot(series["steps"], value_N, color=colour, alpha=0.25, linewidth=0.8)
                panel.plot(series["steps"], running_mean(value_N, smooth), color=colour, label=task)
            panel.set(xlabel="step", ylabel=name[:-1] if name == "gates" else "loss")
            panel.legend()


def running_mean(value_N: np.ndarray, width: int) -> np.ndarray:
    """The mean of each value and the width - 1 values before it, leaving out those that are nan: float64 [N]."""
    known_N = ~np.isnan(value_N)
    sum_N1 = np.r_[0, np.cumsum(np.where(known_N, value_N, 0))]
    count_N1 = np.r_[0, np.cumsum(known_N)]
    stop_N = np.arange(1, len(value_N) + 1)
    start_N = np.maximum(0, stop_N - width)
    count_N = count_N1[stop_N] - count_N1[start_N]
    return np.where(count_N > 0, (sum_N1[stop_N] - sum_N1[start_N]) / np.maximum(count_N, 1), np.nan)


def _show(options: argparse.Namespace) -> None:
    file = options.log / FILE_NAME if options.log.is_dir() else options.log
    series = gate_series(read_step_log(file))
    for task, values in series["gates"].items():
        print(f"{task}: {values[0]:.3f} at step {series['steps'][0]}, {values[-1]:.3f} at step {series['steps'][-1]}")
    if options.json is not None:
        options.json.write_text(json.dumps(series, indent=2) + "\n", encoding="utf-8")
    if options.picture is not None:
        draw(series, options.picture, smooth=options.smooth)


if __name__ == "__main__":
    raise SystemExit(main())
