"""Cells of Markdown tables: figures with their intervals, and which of a column are bold.

Bold are the largest figure of a column and every other whose 95% interval reaches it: those that this many questions
cannot tell apart. Of fewer than MIN_QUESTIONS questions none is bold, and the column says "few".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trainer.evaluation.metrics import MIN_QUESTIONS

__all__ = ["NOTHING", "Figure", "bold_figures", "figure_of", "grouped", "markdown_table", "questions_of"]

NOTHING = "–"


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured share, its 95% interval where it has one, and whether it is of few questions."""

    value: float
    low: float | None = None
    high: float | None = None
    few: bool = False

    def __str__(self) -> str:
        return f"{self.value:.3f}{self.interval}"

    @property
    def interval(self) -> str:
        return "" if self.low is None or self.high is None else f" ({self.low:.3f}–{self.high:.3f})"

    @property
    def bold(self) -> str:
        """The figure in bold, its interval not."""
        return f"**{self.value:.3f}**{self.interval}"

    def reaches(self, value: float) -> bool:
        """Whether the interval holds the value; without an interval, whether they are equal."""
        return self.value == value or (self.high is not None and self.high >= value)


def figure_of(figures: Mapping[str, Any] | None, metric: str) -> Figure | None:
    """The figure of a method in a report; None where it lacks it."""
    if figures is None or metric not in figures:
        return None
    low, high = figures.get("intervals", {}).get(metric, (None, None))
    return Figure(figures[metric], low, high, few=figures["questions"] < MIN_QUESTIONS)


def bold_figures(column: Sequence[Figure | None]) -> list[str]:
    """The cells of a column."""
    ranked = [figure.value for figure in column if figure is not None and not figure.few]
    best = max(ranked, default=None)
    return [NOTHING if figure is None else _cell(figure, best) for figure in column]


def _cell(figure: Figure, best: float | None) -> str:
    return figure.bold if best is not None and not figure.few and figure.reaches(best) else str(figure)


def questions_of(figures: Mapping[str, Any]) -> str:
    """How many questions were asked, and whether they are few."""
    few = ", few" if figures["questions"] < MIN_QUESTIONS else ""
    return f"{figures['questions']:,}{few}"


def grouped(number: float, digits: int = 0) -> str:
    """A number with commas between thousands."""
    return f"{number:,.{digits}f}"


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of Markdown; an empty cell of the header has no title."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(_line(cells) for cells in lines)


def _line(cells: Sequence[str]) -> str:
    if set(cells) == {"---"}:
        return f"|{'|'.join(cells)}|"
    return "|" + "".join(f" {cell} |" if cell else " |" for cell in cells)
