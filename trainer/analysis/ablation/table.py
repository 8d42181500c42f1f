"""Summarises the runs of every row over their S seeds, as Markdown and as a picture."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from catalog.text.prompts import TASKS
from trainer.analysis.plots import picture
from trainer.evaluation.metrics import KINDS

__all__ = ["across_seeds", "baselines_of", "draw_table", "markdown", "summarize_row"]

METRICS = ("recall@10", "ndcg@10")
NORMAL_95 = 1.96  # standard errors to either side of the mean, for an interval of 95%
MODEL = "model"

Figures = dict[str, Any]
Column = tuple[str, str, str, str]
COLUMNS: tuple[Column, ...] = (
    *((f"search {metric}", "tasks", "search", metric) for metric in METRICS),
    *((f"search {kind.replace('_', ' ')} recall@10", "search_kinds", kind, "recall@10") for kind in KINDS),
    *((f"recommendation {metric}", "tasks", "recommendation", metric) for metric in METRICS),
)
"""Of every column of figures its title, and where a row has them: its group, the name in it, and the metric."""


def summarize_row(runs: Sequence[Figures]) -> Figures:
    """The means over the runs of one row, with 95% intervals of the ranking metrics."""
    tasks = {
        task: {metric: across_seeds([run["tasks"][task][MODEL] for run in runs], metric) for metric in METRICS}
        for task in TASKS
        if all(task in run["tasks"] for run in runs)
    }
    retentions = [run["retention"]["after"] for run in runs if run["retention"] is not None]
    return {
        "seeds": [run["seed"] for run in runs],
        "tasks": tasks,
        "search_kinds": _search_kinds([run["tasks"].get("search", {}).get(MODEL, {}) for run in runs]),
        "retention": {name: _mean_of(retentions, name) for name in ("perplexity", "forgotten")} if retentions else None,
        "seconds": statistics.mean(run["seconds"] for run in runs),
        "peak_bytes": max(run["peak_bytes"] for run in runs),
    }


def across_seeds(reports: Sequence[Figures], metric: str) -> Figures:
    """The mean of a metric over S runs, with a 95% interval that holds for other questions and other seeds.

    All runs are asked the same questions, so more runs are not more questions. The variance is therefore a sum: that of
    the questions, from the reports' bootstrap intervals, and that of the runs divided by S, which is rough with few
    seeds. Where there are few questions, `few` is true as in the reports.
    """
    values = [float(report[metric]) for report in reports]
    half_widths = [(high - low) / 2 for low, high in _intervals(reports, metric)]
    questions = statistics.mean((half_width / NORMAL_95) ** 2 for half_width in half_widths) if half_widths else 0.0
    seeds = statistics.variance(values) / len(values) if len(values) > 1 else 0.0
    mean, half_width = statistics.mean(values), NORMAL_95 * math.sqrt(questions + seeds)
    few = {"few": True} if any(report.get("few") for report in reports) else {}
    return {"value": mean, "low": mean - half_width, "high": mean + half_width, "by_seed": values, **few}


def markdown(table: Figures) -> str:
    """The table as Markdown: one line for each row, then the base, then the baselines that need no training.

    The best of a column is bold, unless its questions are few.
    """
    header = ["method", *(title for title, *_ in COLUMNS), "perplexity", "forgotten", "learning rate"]
    lines = [[*header, "minutes", "peak MiB"]]
    ranked = {**table["rows"], **{name: _as_row(own) for name, own in table["baselines"].items()}}
    best = [max((_value(own, column) for own in ranked.values()), default=0.0) for column in COLUMNS]
    for name, own in table["rows"].items():
        kept = own["retention"] or {}
        perplexity, forgotten = kept.get("perplexity"), kept.get("forgotten")
        text = ["–" if perplexity is None else f"{perplexity:.1f}", "–" if forgotten is None else f"{forgotten:.1%}"]
        rate = own.get("learning_rate", {}).get("rate")
        cost = ["–" if rate is None else f"{rate:g}", f"{own['seconds'] / 60:.1f}", f"{own['peak_bytes'] / 2**20:.0f}"]
        lines.append([name, *_cells(own, best), *text, *cost])
    if table["base"] is not None:
        perplexity = f"{table['base']['perplexity']['value']:.1f}"
        lines.append(["the base", *["–"] * len(COLUMNS), perplexity, *["–"] * 4])
    lines += [[name, *_cells(ranked[name], best), *["–"] * 5] for name in table["baselines"]]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def baselines_of(measured: Figures) -> Figures:
    """The figures of popularity and the other baselines as `trainer.evaluation.baselines` measures them."""
    names = {name for task in measured["tasks"].values() for name in task}
    return {
        name: {
            task: {metric: across_seeds([own[name]], metric) for metric in METRICS}
            for task, own in measured["tasks"].items()
            if name in own
        }
        | {"search_kinds": _search_kinds([measured["tasks"].get("search", {}).get(name, {})])}
        for name in sorted(names)
    }


def draw_table(table: Figures, file: Path) -> None:
    """Draws Recall@10 of both tasks and, where it was measured, the perplexity of held-out text."""
    names = list(table["rows"])
    kept = [own["retention"] for own in table["rows"].values()]
    with picture(file, columns=3 if any(kept) else 2, height=1.5 + 0.35 * len(names), width=4.5) as panels:
        for panel, task in zip(panels, TASKS, strict=False):
            for place, own in enumerate(table["rows"].values()):
                estimate = own["tasks"].get(task, {}).get("recall@10")
                if estimate is not None:
                    panel.plot([estimate["low"], estimate["high"]], [place, place], color="tab:blue")
                    panel.plot(estimate["value"], place, "o", color="tab:blue")
                    panel.plot(estimate["by_seed"], [place] * len(own["seeds"]), "|", color="black")
            panel.set_xlabel(f"{task} recall@10")
            panel.locator_params(axis="x", nbins=5)
        if any(kept):
            panels[-1].barh(range(len(names)), [math.nan if own is None else own["perplexity"] for own in kept])
            panels[-1].axvline(table["base"]["perplexity"]["value"], color="tab:red", label="the base")
            panels[-1].set_xlabel("perplexity of held-out text")
            panels[-1].legend()
        for panel in panels:
            panel.set_yticks(range(len(names)), names)
            panel.set_ylim(len(names) - 0.5, -0.5)


def _intervals(reports: Iterable[Figures], metric: str) -> list[tuple[float, float]]:
    return [tuple(report["intervals"][metric]) for report in reports if "intervals" in report]


def _mean_of(retentions: Sequence[Figures], name: str) -> float:
    return statistics.mean(float(own[name]["value"]) for own in retentions)


def _search_kinds(reports: Sequence[Figures]) -> Figures:
    """The means over runs for searches of known and of new items, where there are some."""
    return {
        kind: {metric: across_seeds([report[kind] for report in reports], metric) for metric in METRICS}
        for kind in KINDS
        if all(kind in report for report in reports)
    }


def _as_row(baseline: Figures) -> Figures:
    return {"tasks": baseline, "search_kinds": baseline["search_kinds"]}


def _estimate(row: Figures, column: Column) -> Figures | None:
    _, group, name, metric = column
    found: Figures | None = row[group].get(name, {}).get(metric)
    return found


def _value(row: Figures, column: Column) -> float:
    estimate = _estimate(row, column)
    return -math.inf if estimate is None else float(estimate["value"])


def _cells(row: Figures, best: Sequence[float]) -> list[str]:
    return [_cell(_estimate(row, column), highest) for column, highest in zip(COLUMNS, best, strict=True)]


def _cell(estimate: Mapping[str, Any] | None, best: float) -> str:
    if estimate is None:
        return "–"
    value = f"{estimate['value']:.3f}"
    if estimate["value"] == best and not estimate.get("few"):
        value = f"**{value}**"
    few = ", few" if estimate.get("few") else ""
    return f"{value} ({estimate['low']:.3f}–{estimate['high']:.3f}{few})"
