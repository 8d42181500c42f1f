"""Progress of a run: bars, by tqdm, on a terminal, and a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tqdm import tqdm

SECONDS_BETWEEN_LINES = 10.0


def print_line(text: str) -> None:
    """Prints a line that stays, also above a running progress bar."""
    tqdm.write(text, file=sys.stdout)
    sys.stdout.flush()


class Progress:
    """Shows how much of some work is done, the remaining time and the latest figures.

    name: the name of the work, which is shown in front.
    total: the count at which the work is done.
    start: the count at which it begins, for work that is resumed.
    """

    def __init__(self, name: str, total: int, *, start: int = 0) -> None:
        self._name, self._total, self._done, self._start = name, total, start, start
        self._began = self._last_line = time.monotonic()
        self._bar = None
        if sys.stderr.isatty():
            self._bar = tqdm(total=total, initial=start, desc=name, dynamic_ncols=True, file=sys.stderr)

    def advance(self, count: int = 1, **figures: float) -> None:
        """Adds to the count.

        figures: the latest figures by name, which are shown after the count.
        """
        self._done += count
        text = " ".join(f"{key}={value:.{0 if value >= 1000 else 3}f}" for key, value in figures.items())
        if self._bar is not None:
            self._bar.update(count)
            self._bar.set_postfix_str(text, refresh=False)
            return
        now = time.monotonic()
        if self._done >= self._total or now - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = now
            left = (now - self._began) / max(1, self._done - self._start) * (self._total - self._done)
            print_line(f"{self._name}: {self._done}/{self._total} {text} ({left:.0f} s left)".replace("  ", " "))

    def end_at(self, total: int) -> None:
        """Sets another count at which the work is done."""
        self._total = total
        if self._bar is not None:
            self._bar.total = total
            self._bar.refresh()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


@contextmanager
def progress(name: str, total: int, *, start: int = 0) -> Iterator[Progress]:
    """A Progress that is closed at the end of the context."""
    shown = Progress(name, total, start=start)
    try:
        yield shown
    finally:
        shown.close()
