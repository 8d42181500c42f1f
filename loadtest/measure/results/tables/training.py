"""What a step of training costs, and what complementary subspaces are worth: from training.json, complementary.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loadtest.measure.results.tables.cells import NOTHING, grouped, markdown_table

__all__ = ["complementary", "memory_parts", "step_costs"]

METHODS = {
    "gems": "GEMS",
    "released": "the released procedure",
    "adamw": "full AdamW",
    "single_subspace": "single subspace",
    "lora": "LoRA, rank 16",
}

Report = Mapping[str, Any]


def step_costs(report: Report) -> str:
    """Seconds and memory of a step, and the ratio of GEMS to each other method beside the limit that is asked."""
    rows = [_cost(row, report) for row in report["rows"]]
    return markdown_table(["", "step", "peak memory", "time ×", "asked", "memory ×", "asked"], rows)


def memory_parts(report: Report) -> str:
    """What the memory of GEMS holds at its fullest, the largest part first."""
    parts = sorted(report["parts"].items(), key=lambda part: -part[1])
    return markdown_table(["part", "MiB"], [[name, grouped(size / 2**20)] for name, size in parts])


def _cost(row: Report, report: Report) -> list[str]:
    name = row["method"]
    ratio, limit = report["ratio"].get(name), report["limits"].get(name, {})
    cells = []
    for what in ("time", "memory"):
        if ratio is None:
            cells += ["", ""]
            continue
        kept = what in limit and ratio[what] <= limit[what]
        cells += [f"**{ratio[what]:.2f}**" if kept else f"{ratio[what]:.2f}", _limit(limit.get(what))]
    return [METHODS[name], f"{row['step_s']:.1f} s", f"{grouped(row['peak_bytes'] / 2**20)} MiB", *cells]


def _limit(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.2f}"


def complementary(report: Report) -> str:
    """Overlapping and complementary subspaces, each at the learning rate that is best on validation text."""
    slowest = min(row["lr"] for row in report["rows"])
    lines = []
    for title, chosen in (("overlapping (`gems.complementary=false`)", False), ("complementary", True)):
        rows = [row for row in report["rows"] if row["complementary"] is chosen]
        best = min(rows, key=lambda row: sum(row["validation"].values()))
        first = next(row for row in rows if row["lr"] == slowest)
        norm = f"{best['update_norm']:.2f}"
        lines.append([title, f"{best['share_inside']:.2g}", f"{best['lr']:g}", norm, _losses(best), _losses(first)])
    header = ["", "overlap", "best rate", "update norm", "loss, one task and the other", f"at {slowest:g}"]
    return markdown_table(header, lines)


def _losses(row: Report) -> str:
    return f"{row['test']['search']:.3f} · {row['test']['recommendation']:.3f}"
