"""Measures the time and memory of a training step of GEMS beside its released code and other methods.

    python -m loadtest.training --json training.json [--parameters 100e6] [--steps 5] [--budget-seconds 240]
        [--device cpu|cuda] [--dtype float32|bfloat16] [--sequences 8] [--length 128] [--threads 2]
        [--gradient-checkpointing] [--shape qwen2.5-0.5b|qwen2.5-1.5b|qwen2.5-3b] [--side input|output]

Every method trains the same model on the same batch in a process of its own. They take turns, so only one works at any
time. A step's time is the median of the steps that keep the subspaces. `refresh_s` is the time of the first two steps
together, in which some layers choose subspaces, the optimiser state moves into them and everything warms up. `cpu_s`
is the processor time of all threads, which is the better measure where other programs use the cores. Peak memory is
that of the first two steps, in which all freed memory is given back at once: the whole process's, less what it had with
its libraries loaded; with --device cuda it is what torch allocated. Where memory does not suffice for all methods at
once, `interleaved` says which of them took turns.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from loadtest.measure.errors import LoadtestError
from loadtest.measure.machine import Machine
from loadtest.measure.tables import print_table
from loadtest.measure.timing import Spread
from loadtest.synthetic.qwen import QWEN_SHAPES
from loadtest.training.method_process import NAMES, RELEASED, MethodProcess, StepCost
from loadtest.training.setup import Setup
from trainer.config.gems import GemsConfig

OURS = "gems"
LIMITS: dict[str, dict[str, float]] = {
    RELEASED: {"time": 0.50, "memory": 0.45},
    "adamw": {"time": 1.25, "memory": 0.60},
    "lora": {"time": 1.60, "memory": 1.30},
}
"""The greatest cost of GEMS that the method's design allows, as a ratio to each other method's."""

COPIES = {
    "float32": {"gems": 4, RELEASED: 9, "adamw": 5, "single_subspace": 4, "lora": 2},
    "bfloat16": {"gems": 6, RELEASED: 14, "adamw": 8, "single_subspace": 5, "lora": 2},
}
"""A rough bound of a method's memory in copies of the weights, with the activations of small batches. Of bfloat16
weights, GEMS and AdamW keep a remainder, which is a copy, and float32 moments, each of which is two."""
REFRESH = 2
"""Number of rounds in which memory is measured: in the second, one of GEMS' turns takes its subspaces over and the next
one chooses."""
WARM_UP = REFRESH + 1
"""Number of rounds before time is measured: one more, in which the allocator collects memory to use again."""
SETTLED = {name: GemsConfig().refresh_turns + 1 for name in ("gems", "single_subspace")}
"""After how many steps all layers of a method have chosen their subspaces and taken them over, which they do in turns.
Real runs choose again after hundreds of steps."""
MEMORY_SHARE = 0.7
"""Share of the free memory that all processes at once may need."""


@dataclass(slots=True)
class Costs:
    """The costs of one method's steps.

    refresh_s: time of the first REFRESH steps together.
    seconds, cpu_seconds: of every timed step.
    parts: what GEMS' memory is used for at the end of the last forward pass of a step, in bytes.
    """

    refresh_s: float = 0.0
    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    peak_bytes: int = 0
    parts: dict[str, int] = field(default_factory=dict)

    def add(self, cost: StepCost, turn: int) -> None:
        """Add the cost of the step of this turn, the first being 0."""
        self.peak_bytes = max(self.peak_bytes, cost.peak_bytes)
        if turn >= WARM_UP:
            self.seconds.append(cost.seconds)
            self.cpu_seconds.append(cost.cpu_seconds)
        elif turn < REFRESH:
            self.refresh_s += cost.seconds


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.training", description="Measure a training step.")
    parser.add_argument("--json", type=Path, required=True, help="where to write the figures")
    parser.add_argument("--parameters", type=float, default=100e6, help="of the model, at least")
    parser.add_argument("--steps", type=int, default=5, help="timed steps of each method, if the budget allows")
    parser.add_argument(
        "--budget-seconds", type=float, default=240.0, help="no further round begins that would end later"
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--sequences", type=int, default=8, help="of each task in the batch")
    parser.add_argument("--length", type=int, default=128, help="positions of a sequence")
    parser.add_argument("--rank", type=int, default=128, help="of GEMS' shared subspace and the single one")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of every process")
    parser.add_argument("--gradient-checkpointing", action="store_true", help="compute activations twice, keep few")
    parser.add_argument("--shape", choices=sorted(QWEN_SHAPES), help="of a published model, in place of --parameters")
    parser.add_argument("--side", choices=("input", "output"), default="input", help="of GEMS' null space")
    parser.add_argument("--methods", nargs="+", choices=NAMES, default=list(NAMES))
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table and write the JSON; the exit status is 0, or 2 where a method failed."""
    options = parse(arguments)
    setup = Setup(
        int(options.parameters),
        options.sequences,
        options.length,
        options.device,
        options.dtype,
        options.rank,
        options.gradient_checkpointing,
        options.shape,
        options.side,
    )
    end = time.monotonic() + options.budget_seconds
    groups = list(group_by_memory(options.methods, setup))
    costs: dict[str, Costs] = {}
    try:
        for place, group in enumerate(groups):
            share = (end - time.monotonic()) / (len(groups) - place)
            costs |= measure(group, setup, options.threads, options.steps, time.monotonic() + share)
    except LoadtestError as error:
        print(f"loadtest.training: {error}", file=sys.stderr)
        return 2
    figures = summarize(costs) | {"setup": asdict(setup) | setup.backbone.model_dump(include={"hidden", "layers"})}
    figures |= {"interleaved": groups, "limits": LIMITS, "machine": asdict(Machine.here())}
    options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    show(figures)
    return 0


def measure(names: Sequence[str], setup: Setup, threads: int, steps: int, end: float) -> dict[str, Costs]:
    """The costs of methods that take turns, another one first every round.

    Each makes WARM_UP untimed steps, and as many more as it takes to be SETTLED; then up to `steps` timed ones, at
    least one. No further round begins that would end after `end`, a time of `time.monotonic`.
    """
    costs = {name: Costs() for name in names}
    with ExitStack() as stack:
        processes = {name: MethodProcess(name, setup, threads) for name in names}
        for process in processes.values():
            stack.callback(process.stop)
        for process in processes.values():
            process.wait_until_ready()
        took = 0.0
        for turn in range(WARM_UP + steps):
            if turn == WARM_UP:
                for name in names:
                    for _ in range(WARM_UP, SETTLED.get(name, WARM_UP)):
                        processes[name].step()
            began = time.monotonic()
            if turn > WARM_UP and began + took > end:
                break
            first = turn % len(names)
            for name in (*names[first:], *names[:first]):
                costs[name].add(processes[name].step(frugal=turn < REFRESH), turn)
                if name == OURS and turn == REFRESH - 1:
                    costs[name].parts = processes[name].parts()
            took = time.monotonic() - began
    return costs


def group_by_memory(names: Sequence[str], setup: Setup) -> Iterator[list[str]]:
    """Groups of methods that take turns: all in one if memory suffices, or as many at a time as fit, in their order."""
    copies, copy = COPIES[setup.dtype], setup.parameters * (4 if setup.dtype == "float32" else 2)
    room = MEMORY_SHARE * _free_memory(setup.device) / copy
    group: list[str] = []
    for name in names:
        if group and sum(copies[member] for member in group) + copies[name] > room:
            yield group
            group = []
        group.append(name)
    yield group


def summarize(costs: dict[str, Costs]) -> dict[str, Any]:
    """The report's `rows`, and the `ratio` of GEMS to every other method, where below 1 is less time or memory."""
    rows: list[dict[str, Any]] = []
    for name, own in costs.items():
        spread = Spread.of(own.seconds)
        rows.append(
            {
                "method": name,
                "step_s": statistics.median(own.seconds),
                "p10_s": spread.p10 / 1000,
                "p90_s": spread.p90 / 1000,
                "cpu_s": statistics.median(own.cpu_seconds),
                "refresh_s": own.refresh_s,
                "steps": len(own.seconds),
                "peak_bytes": own.peak_bytes,
            }
        )
    by_name = {row["method"]: row for row in rows}
    ours = by_name.get(OURS)
    ratio = {
        name: {
            "time": ours["step_s"] / row["step_s"],
            "cpu_time": ours["cpu_s"] / row["cpu_s"],
            "memory": ours["peak_bytes"] / row["peak_bytes"],
        }
        for name, row in by_name.items()
        if ours is not None and name != OURS
    }
    parts = costs[OURS].parts if OURS in costs else {}
    return {"rows": rows, "ratio": ratio, "parts": parts}


def show(figures: dict[str, Any]) -> None:
    """Print the table: every method, and the ratio of GEMS to it beside its limit."""
    measured = ("method", "step s", "p10", "p90", "CPU s", "refresh s", "peak MiB")
    header = (*measured, "time ×", "CPU time ×", "at most", "memory ×", "at most")
    rows = []
    for row in figures["rows"]:
        ratio, limit = figures["ratio"].get(row["method"], {}), LIMITS.get(row["method"], {})
        own = (*(row[name] for name in ("step_s", "p10_s", "p90_s", "cpu_s", "refresh_s")), row["peak_bytes"] / 2**20)
        compared = (
            ratio.get("time"),
            ratio.get("cpu_time"),
            limit.get("time"),
            ratio.get("memory"),
            limit.get("memory"),
        )
        rows.append((row["method"], *own, *compared))
    setup = figures["setup"]
    title = f"{setup['layers']} layers of {setup['hidden']}, 2 × {setup['sequences']} sequences of {setup['length']}"
    print_table(
        f"A training step: {title}, {setup['dtype']} on {setup['device']}; × is GEMS to the other", header, rows
    )
    if figures["parts"]:
        parts = sorted(figures["parts"].items(), key=lambda part: -part[1])
        title = "What GEMS' memory holds before the second backward pass"
        print_table(title, ("part", "MiB"), [(part, size / 2**20) for part, size in parts])


def _free_memory(device: str) -> int:
    if device == "cuda":
        return torch.cuda.mem_get_info()[0]
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))


if __name__ == "__main__":
    raise SystemExit(main())
