"""Steps of GEMS, the released procedure, AdamW and LoRA on the shapes of Qwen2.5, in bfloat16.

Each method trains in a process of its own, one after another, on the same batch (`loadtest.training`), so one that runs
out of memory takes nothing with it.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from loadtest.gpu.journal import Journal, fault_of
from loadtest.measure.errors import LoadtestError
from loadtest.measure.tables import print_table
from loadtest.training.__main__ import measure, summarize
from loadtest.training.method_process import RELEASED
from loadtest.training.setup import Setup

__all__ = ["SMALL", "WHOLE", "TrainingSizes", "is_right", "run", "setup_of", "show"]


@dataclass(frozen=True, slots=True)
class TrainingSizes:
    """What is trained: every method on every shape, with the setup's batch and rank."""

    shapes: tuple[str, ...]
    methods: tuple[str, ...]
    setup: Setup
    steps: int


METHODS = ("gems", "adamw", "lora", RELEASED)
WHOLE = TrainingSizes(
    ("qwen2.5-1.5b", "qwen2.5-3b"),
    METHODS,
    Setup(sequences=4, length=512, dtype="bfloat16", rank=128, gradient_checkpointing=True),
    steps=5,
)
SMALL = TrainingSizes(
    ("qwen2.5-tiny",), METHODS, Setup(sequences=2, length=24, dtype="bfloat16", rank=8, gradient_checkpointing=True), 1
)
LAST_SECONDS = 30.0  # of a part, in which no further method starts; a process needs about half of that to start


def setup_of(sizes: TrainingSizes) -> dict[str, Any]:
    """The sizes, for the report."""
    return asdict(sizes)


def is_right(report: dict[str, Any]) -> bool:
    """Whether there are rows; a method that lacked memory or time is a finding, and no fault."""
    return bool(report["rows"])


def run(sizes: TrainingSizes, device: str, journal: Journal) -> None:
    """Measure each method on each shape and add a row for it."""
    last_seconds = LAST_SECONDS if device != "cpu" else 0.0
    for shape in sizes.shapes:
        setup = replace(sizes.setup, device=device, shape=shape)
        journal.note(training=asdict(setup))
        for method in sizes.methods:
            if journal.seconds_left < last_seconds:
                journal.add(shape=shape, method=method, error="no time was left")
                continue
            end = time.monotonic() + journal.seconds_left
            try:
                costs = measure([method], setup, torch.get_num_threads(), sizes.steps, end)
            except LoadtestError as error:
                journal.add(shape=shape, method=method, error=fault_of(error), details=str(error)[-2000:])
            else:
                journal.add(shape=shape, **summarize(costs)["rows"][0])


def show(report: dict[str, Any]) -> None:
    """Print the table: every method, and the ratio of GEMS to it."""
    header = ("method", "shape", "step s", "first steps s", "peak MiB", "time ×", "memory ×")
    rows: list[tuple[object, ...]] = []
    measured = {(row["shape"], row["method"]): row for row in report["rows"] if "error" not in row}
    for row in report["rows"]:
        own = measured.get((row["shape"], row["method"]))
        ours = measured.get((row["shape"], "gems"))
        if own is None:
            rows.append((row["method"], row["shape"], row["error"], *[None] * 4))
            continue
        ratios = (
            (None, None)
            if ours is None or own is ours
            else (ours["step_s"] / own["step_s"], ours["peak_bytes"] / own["peak_bytes"])
        )
        figures = (own["step_s"], own["refresh_s"], own["peak_bytes"] / 2**20)
        rows.append((row["method"], row["shape"], *figures, *ratios))
    print_table(f"Steps of training on {report['card']['name']}; × is GEMS to the other", header, rows)
