"""Summarises the runs of every row over their S seeds, as Markdown and as a picture."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from catalog.text.prompts import TASKS
from trainer.analysis.plots import picture

__all__ = ["across_seeds", "baselines_of", "draw_table", "markdown", "summarize_row"]

METRICS = ("recall@10", "ndcg@10")
NORMAL_95 = 1.96  # standard errors to either side of the mean, for an interval of 95%
MODEL = "model"

Figures = dict[str, Any]


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
        "retention": {name: _mean_of(retentions, name) for name in ("perplexity", "forgotten")} if retentions else None,
        "seconds": statistics.mean(run["seconds"] for run in runs),
        "peak_bytes": max(run["peak_bytes"] for run in runs),
    }


def across_seeds(reports: Sequence[Figures], metric: str) -> Figures:
    """The mean of a metric over S runs, with a 95% interval that holds for other questions and other seeds.

    All runs are asked the same questions, so more runs are not more questions. The variance is therefore a sum: that of
    the questions, from the reports' bootstrap intervals, and that of the runs divided by S, which is rough with few
    seeds.
    """
    values = [float(report[metric]) for report in reports]
    half_widths = [(high - low) / 2 for low, high in _intervals(reports, metric)]
    questions = statistics.mean((half_width / NORMAL_95) ** 2 for half_width in half_widths) if half_widths else 0.0
    seeds = statistics.variance(values) / len(values) if len(values) > 1 else 0.0
    mean, half_width = statistics.mean(values), NORMAL_95 * math.sqrt(questions + seeds)
    return {"value": mean, "low": mean - half_width, "high": mean + half_width, "by_seed": values}


def markdown(table: Figures) -> str:
    """The table as Markdown: one line for each row, then the base, then the baselines that need no training."""
    header = ["method", *(f"{task} {metric}" for task in TASKS for metric in METRICS), "perplexity", "forgotten"]
    lines = [[*header, "minutes", "peak MiB"]]
    for name, own in table["rows"].items():
        ranked = [_cell(own["tasks"].get(task, {}).get(metric)) for task in TASKS for metric in METRICS]
        kept = own["retention"] or {}
        perplexity, forgotten = kept.get("perplexity"), kept.get("forgotten")
        text = ["–" if perplexity is None else f"{perplexity:.1f}", "–" if forgotten is None else f"{forgotten:.1%}"]
        lines.append([name, *ranked, *text, f"{own['seconds'] / 60:.1f}", f"{own['peak_bytes'] / 2**20:.0f}"])
    if table["base"] is not None:
        perplexity = f"{table['base']['perplexity']['value']:.1f}"
        lines.append(["the base", *["–"] * (len(TASKS) * len(METRICS)), perplexity, "–", "–", "–"])
    for name, tasks in table["baselines"].items():
        ranked = [_cell(tasks.get(task, {}).get(metric)) for task in TASKS for metric in METRICS]
        lines.append([name, *ranked, "–", "–", "–", "–"])
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def baselines_of(run: Figures) -> Figures:
    """The figures of popularity and the other baselines in a run's report, which do not depend on the seed."""
    names = {name for task in run["tasks"].values() for name in task if name != MODEL}
    return {
        name: {
            task: {metric: across_seeds([own[name]], metric) for metric in METRICS}
            for task, own in run["tasks"].items()
            if name in own
        }
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


def _cell(estimate: Mapping[str, Any] | None) -> str:
    return "–" if estimate is None else f"{estimate['value']:.3f} ({estimate['low']:.3f}–{estimate['high']:.3f})"
