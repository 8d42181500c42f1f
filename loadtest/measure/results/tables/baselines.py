"""What the baselines alone reach on every data set: from baselines-*.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loadtest.measure.results.tables.cells import NOTHING, bold_figures, figure_of, markdown_table, questions_of
from loadtest.measure.results.tables.quality import METHODS, TASKS

__all__ = ["baselines"]

Report = Mapping[str, Any]


def baselines(reports: Mapping[str, Report]) -> str:
    """One table for each task, with a column for each data set: Recall@10 (interval) · NDCG@10 · validation Recall@10.

    reports: by the name of the data set.
    """
    return "\n\n".join(_task(task, reports) for task in TASKS)


def _task(task: str, reports: Mapping[str, Report]) -> str:
    asked = {name: report for name, report in reports.items() if task in report["tasks"]}
    names = [name for name in METHODS if any(name in report["tasks"][task] for report in asked.values())]
    header = [TASKS[task]]
    columns = []
    for data_set, report in asked.items():
        methods = report["tasks"][task]
        header.append(f"{data_set} ({questions_of(next(iter(methods.values())))})")
        recalls = bold_figures([figure_of(methods.get(name), "recall@10") for name in names])
        columns.append([_cell(recall, report, task, name) for recall, name in zip(recalls, names, strict=True)])
    cells = zip(*columns, strict=True)
    return markdown_table(header, [[METHODS[name], *row] for name, row in zip(names, cells, strict=True)])


def _cell(recall: str, report: Report, task: str, name: str) -> str:
    if recall == NOTHING:
        return NOTHING
    validation = report["baselines"][task][name]["validation"].get("recall@10")
    chosen = NOTHING if validation is None else f"{validation:.3f}"
    return f"{recall} · {report['tasks'][task][name]['ndcg@10']:.3f} · {chosen}"
