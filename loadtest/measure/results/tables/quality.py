"""What a model reaches on a data set, beside all baselines: from quality-*.json, which are bundles' report.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from loadtest.measure.results.tables.cells import Figure, bold_figures, figure_of, markdown_table, questions_of
from trainer.evaluation.metrics import KINDS

__all__ = ["METHODS", "quality", "summary"]

METHODS = {
    "model": "model alone",
    "prior": "prior alone, without the model",
    "guided": "model and prior (guided)",
    "popularity": "popularity",
    "item_knn": "item-kNN",
    "ease": "EASE",
    "transitions": "transitions",
    "clicks": "clicks of the same query",
    "bm25": "BM25, item text",
    "bm25_with_queries": "BM25, text and training queries",
}
"""The methods of a report, in the order of the rows, and what they are called."""
OF_MODEL = ("model", "prior", "guided")
OF_SCORES = {"guided": "guided", "model": "model alone"}
METRICS = {"recall@10": "Recall@10", "ndcg@10": "NDCG@10"}
TASKS = {"recommendation": "Recommendation", "search": "Search"}

Report = Mapping[str, Any]
Methods = Mapping[str, Any]


def quality(report: Report) -> str:
    """One table for each task that was asked; the searches for known and for new items apart."""
    tasks = [task for task in TASKS if task in report["tasks"]]
    tables = [_task(task, report["tasks"][task]) for task in tasks]
    return "\n\n".join([*tables, *_calibrated(report.get("calibration", {})), *_trained(report.get("training"))])


def _calibrated(calibration: Mapping[str, Any]) -> list[str]:
    """How well relevance holds: one line for each kind of score that has one."""
    rows = [
        [f"{task}, {OF_SCORES[kind]}", *_errors(own[kind])]
        for task, own in calibration.items()
        for kind in OF_SCORES
        if kind in own
    ]
    header = ["Relevance", "calibration error, validation", "test", "test, the first item", "log-loss, test"]
    return [markdown_table(header, rows)] if rows else []


def _errors(own: Mapping[str, Any]) -> list[str]:
    parts = (own["validation"], own["test"], own["test"]["first"])
    return [*(f"{part['expected_calibration_error']:.4f}" for part in parts), f"{own['test']['log_loss']:.4f}"]


def _trained(training: Mapping[str, Any] | None) -> list[str]:
    if training is None:
        return []
    return [f"Trained for {training['steps']:,} steps in {training['seconds'] / 60:.1f} minutes."]


def _task(task: str, methods: Methods) -> str:
    names = [name for name in METHODS if name in methods]
    columns = [(f"{title}", [figure_of(methods[name], metric) for name in names]) for metric, title in METRICS.items()]
    some = methods[names[0]]
    for kind in KINDS:
        if kind in some:
            title = f"{kind.replace('_', ' ')}s ({questions_of(some[kind])}): Recall@10"
            columns.append((title, [figure_of(methods[name].get(kind), "recall@10") for name in names]))
    header = [f"{TASKS[task]} ({questions_of(some)} questions)", *(title for title, _ in columns)]
    cells = [bold_figures(column) for _, column in columns]
    return markdown_table(
        header, [[METHODS[name], *row] for name, row in zip(names, zip(*cells, strict=True), strict=True)]
    )


def summary(reports: Mapping[str, Report]) -> str:
    """Recall@10 of every data set and task, in one line each: the model, guided, and the best of the baselines.

    reports: by the name of the data set.
    """
    rows = [
        _summary_row(name, task, report["tasks"][task])
        for name, report in reports.items()
        for task in TASKS
        if task in report["tasks"]
    ]
    return markdown_table(["", "model alone", "**guided**", "the best baseline", "popularity"], rows)


def _summary_row(name: str, task: str, methods: Methods) -> list[str]:
    baselines = [method for method in METHODS if method in methods and method not in OF_MODEL]
    best = max(baselines, key=lambda method: float(methods[method]["recall@10"]))
    shown = ("model", "guided", best, "popularity")
    figures: Sequence[Figure | None] = [figure_of(methods.get(method), "recall@10") for method in shown]
    cells = bold_figures(figures)
    cells[2] += f" {METHODS[best]}"
    return [f"{name}, {task} ({questions_of(methods[best])})", *cells]
