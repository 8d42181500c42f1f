"""Pictures of results, drawn by matplotlib without a display."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["picture"]

DOTS_PER_INCH = 120


@contextmanager
def picture(file: Path | None, *, columns: int = 1, height: float = 4.0, width: float = 6.0) -> Iterator[Any]:
    """A context with an array of matplotlib axes to draw on. The picture is written when it ends.

    file: the PNG to write; None to write nothing.
    columns: how many axes there are, side by side.
    height, width: the height and width of each, in inches.
    """
    # not pyplot, which keeps figures and a back end for the whole process
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(columns * width, height), layout="constrained")
    FigureCanvasAgg(figure)
    yield figure.subplots(1, columns, squeeze=False)[0]
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(file, dpi=DOTS_PER_INCH)
