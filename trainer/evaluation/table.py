"""An evaluation report as a table of plain text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainer.evaluation.metrics import KINDS, MIN_QUESTIONS

if TYPE_CHECKING:
    from trainer.evaluation.report import Report  # imports torch, which a table does without

COLUMNS = ("recall@5", "recall@10", "recall@20", "ndcg@10", "mrr@10")


def table(report: Report) -> str:
    """The report as a table: one line for each task and method; where searches are of both kinds, also for each kind.

    Hit and MAP are left out, because with one right answer they equal Recall and MRR. Intervals of few questions are
    marked.
    """
    rows = [("task", "method", "questions", *COLUMNS, "95% of recall@10")]
    for task, methods in report["tasks"].items():
        rows += [(task, name, *_cells(figures)) for name, figures in methods.items()]
        if not all(kind in figures for figures in methods.values() for kind in KINDS):
            continue  # all questions are of one kind
        for kind in KINDS:
            of_kind = {name: figures[kind] for name, figures in methods.items()}
            rows += [(f"{task}, {kind.replace('_', ' ')}", name, *_cells(own)) for name, own in of_kind.items()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([_heading(report), "", *lines])


def _heading(report: Report) -> str:
    drawn = report.get("candidates")
    among = f"among {report['catalog_size']} items"
    if drawn:
        among = f"the right item among {drawn['negatives']} drawn {drawn['drawn']} (seed {drawn['seed']})"
    asked = ", validation questions" if report.get("questions") == "validation" else ""
    asked += f", drawn from {report['held_out']} held-out questions" if "held_out" in report else ""
    width = f", beam width {report['beam_width']}" if "beam_width" in report else ""
    return f"{report['protocol']}: {among}{width}{asked}"


def _cells(figures: dict[str, Any]) -> list[str]:
    low, high = figures.get("intervals", {}).get("recall@10", (None, None))
    interval = "" if low is None else f"{low:.3f} to {high:.3f}"
    if figures.get("few"):
        interval = f"{interval} (fewer than {MIN_QUESTIONS} questions)".strip()
    return [str(figures["questions"]), *(f"{figures[name]:.3f}" for name in COLUMNS), interval]
