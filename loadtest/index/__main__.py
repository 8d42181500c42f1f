"""Measures the item index and the constrained beam search, without a model, beside two baselines.

    python -m loadtest.index --items 1000000 --json index.json [--seed 0] [--threads 2] [--turns 100]

There are two catalogs of identifiers of four codes of 256: one with skewed codes, whose figures are the top-level keys
of the JSON, and one with uniformly distributed codes, under `even`. The baselines (`opponents` in the JSON) are nested
Python dictionaries as written for `prefix_allowed_tokens_fn`, and sparse transition matrices with padded children as
in STATIC (loadtest/index/baselines). All use the same threads and take turns. Figures are medians, `spread` has the
10th and 90th percentiles, and steps are means over levels 1 to 3.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from loadtest.index.changes import change_figures
from loadtest.index.figures import (
    DEPTH,
    SIZE,
    STEPS,
    Competitors,
    filter_figures,
    load_figures,
    size_figures,
    step_figures,
)
from loadtest.measure.machine import Machine
from loadtest.measure.tables import print_table
from loadtest.synthetic.codes import uniform_codes, zipf_codes

Figures = dict[str, Any]


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.index", description="Measure the item index.")
    parser.add_argument("--items", type=int, default=1_000_000, help="items of each catalog")
    parser.add_argument("--json", type=Path, required=True, help="where to write the figures")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2, help="threads of all")
    parser.add_argument("--turns", type=int, default=100, help="samples of a step")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the tables and write the JSON."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    machine = Machine.here()
    print(f"{machine.cpu}, {machine.cores} cores, torch {machine.torch}, {machine.threads} threads", flush=True)
    measured = {}
    for name, draw_codes in {"skewed": zipf_codes, "even": uniform_codes}.items():
        codes_NL = draw_codes(options.items, DEPTH, SIZE, options.seed)
        measured[name] = measure(codes_NL, options.turns, options.seed)
        print_figures(f"{options.items:,} items, {name} codes", measured[name])
    report = {
        "items": options.items,
        "seed": options.seed,
        **measured["skewed"],
        "even": measured["even"],
        "machine": asdict(machine),
    }
    options.json.write_text(json.dumps(report, indent=2) + "\n")
    return 0


def measure(codes_NL: NDArray[np.int64], turns: int, seed: int) -> Figures:
    """All figures of one catalog. turns: number of samples of a step; there are fewer of what takes longer."""
    competitors = Competitors.build(codes_NL)
    few = max(3, turns // 10)
    figures, opponents = size_figures(codes_NL, competitors, 3)
    _merge(figures, load_figures(competitors.ours.index, few))
    with torch.inference_mode():
        for key in STEPS:
            ours, theirs = step_figures(key, competitors, turns if key == "step_ms" else few, seed)
            _merge(figures, ours)
            for name in theirs:
                _merge(opponents[name], theirs[name])
        _merge(figures, filter_figures(competitors.ours, few, seed))
    _merge(figures, change_figures(competitors.ours.index, 3, seed))
    return figures | {"opponents": opponents}


def _merge(figures: Figures, more: Figures) -> None:
    """Add `more` to `figures`, and its `spread` to the spread that is there."""
    spread = figures.get("spread", {}) | more.get("spread", {})
    figures |= more
    figures["spread"] = spread


def print_figures(title: str, figures: Figures) -> None:
    """Print one table: our figures, and those of every baseline where it was measured."""
    opponents = figures["opponents"]
    parts = (figures, *opponents.values())
    rows: list[tuple[object, ...]] = []
    for key in ("build_s", "bytes_per_item", "load_ms", *STEPS, "filter_compile_ms", "insert_s", "delete_s"):
        rows.append((key, *(part.get(key) for part in parts)))
        if key in STEPS:
            hardest = (part.get(f"{key}_hardest", {}) for part in parts)
            rows.append((f"{key}, hardest level", *(level.get("ms") for level in hardest)))
    rows += [(f"filter_ms {name}", value, *(None for _ in opponents)) for name, value in figures["filter_ms"].items()]
    print_table(title, ("", "ours", *opponents), rows)


if __name__ == "__main__":
    raise SystemExit(main())
