"""Measures the item index and the constraint of the search, without a model, beside two opponents.

    python -m loadtest.index --items 1000000 --json index.json [--seed 0] [--threads 2] [--turns 100]

Two catalogs of four codes of 256: a skewed one, whose figures are the top-level keys of the JSON, and one with even
codes, under `even`. Opponents are nested Python dictionaries as written for `prefix_allowed_tokens_fn`, and sparse
transition matrices with padded children as in STATIC (loadtest/opponents). All use the same threads and take turns;
figures are medians, `spread` has the tenth and ninetieth percentiles, and steps are means over levels 1 to 3.
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

from loadtest.catalogs import even_codes, skewed_codes
from loadtest.changes import change_figures
from loadtest.index_figures import (
    DEPTH,
    SIZE,
    STEPS,
    Contestants,
    filter_figures,
    load_figures,
    size_figures,
    step_figures,
)
from loadtest.machine import Machine
from loadtest.tables import print_table

Figures = dict[str, Any]


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.index", description="Measure the item index.")
    parser.add_argument("--items", type=int, default=1_000_000, help="items of each catalog")
    parser.add_argument("--json", type=Path, required=True, help="where to write the figures")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2, help="threads of everybody")
    parser.add_argument("--turns", type=int, default=100, help="samples of a step")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    machine = Machine.here()
    print(f"{machine.cpu}, {machine.cores} cores, torch {machine.torch}, {machine.threads} threads", flush=True)
    measured = {}
    for name, draw_codes in {"skewed": skewed_codes, "even": even_codes}.items():
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
    """All figures of one catalog; `turns` samples of a step, fewer of what takes longer."""
    contestants = Contestants.build(codes_NL)
    few = max(3, turns // 10)
    figures, opponents = size_figures(codes_NL, contestants, 3)
    _merge(figures, load_figures(contestants.ours.index, few))
    with torch.inference_mode():
        for key in STEPS:
            ours, theirs = step_figures(key, contestants, turns if key == "step_ms" else few, seed)
            _merge(figures, ours)
            for name in theirs:
                _merge(opponents[name], theirs[name])
        _merge(figures, filter_figures(contestants.ours, few, seed))
    _merge(figures, change_figures(contestants.ours.index, 3, seed))
    return figures | {"opponents": opponents}


def _merge(figures: Figures, more: Figures) -> None:
    """Add `more`, whose `spread` is joined with the one there is."""
    spread = figures.get("spread", {}) | more.get("spread", {})
    figures |= more
    figures["spread"] = spread


def print_figures(title: str, figures: Figures) -> None:
    """One table: ours, and what an opponent was measured for."""
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
