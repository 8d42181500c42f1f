"""What each part of a process holds: its memory before and after the part was made, and the most in between."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from loadtest.measure.process import forget_peak, memory_kb

__all__ = ["Parts", "now_mb"]

Figures = dict[str, float]


class Parts:
    """rows: by part the seconds, the MB that stay (mapped files in `rss_mb` only), and the greatest RSS meanwhile."""

    def __init__(self) -> None:
        self.rows: dict[str, Figures] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Make a part inside."""
        forget_peak()
        before, began = now_mb(), time.monotonic()
        yield
        after = now_mb()
        self.rows[name] = {
            "seconds": round(time.monotonic() - began, 1),
            "anonymous_mb": round(after["anonymous"] - before["anonymous"], 1),
            "rss_mb": round(after["rss"] - before["rss"], 1),
            "peak_mb": round(after["peak"], 1),
        }


def now_mb() -> Figures:
    """The memory of this process, without mapped files, with them, and the greatest since the last part began."""
    names = {"RssAnon": "anonymous", "VmRSS": "rss", "VmHWM": "peak"}
    held = memory_kb()
    return {shown: held[name] / 1000 for name, shown in names.items()}
