"""An evaluation report as a table of plain text."""

from __future__ import annotations

from typing import Any

from trainer.evaluation.report import Report

COLUMNS = ("recall@5", "recall@10", "recall@20", "ndcg@10", "mrr@10")


def table(report: Report) -> str:
    """The report as a table with one line for each task and method.

    Hit and MAP are left out, because with one right answer they equal Recall and MRR.
    """
    rows = [("task", "method", "questions", *COLUMNS, "95% of recall@10")]
    for task, methods in report["tasks"].items():
        rows += [(task, name, *_cells(figures)) for name, figures in methods.items()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([_heading(report), "", *lines])


def _heading(report: Report) -> str:
    drawn = report.get("candidates")
    among = f"among {report['catalog_size']} items"
    if drawn:
        among = f"the right item among {drawn['negatives']} drawn {drawn['drawn']} (seed {drawn['seed']})"
    return f"{report['protocol']}: {among}, beam width {report['beam_width']}"


def _cells(figures: dict[str, Any]) -> list[str]:
    low, high = figures.get("intervals", {}).get("recall@10", (None, None))
    interval = "" if low is None else f"{low:.3f} to {high:.3f}"
    return [str(figures["questions"]), *(f"{figures[name]:.3f}" for name in COLUMNS), interval]
