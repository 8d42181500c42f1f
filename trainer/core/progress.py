"""What a person sees while a run goes on: bars on a terminal, plain lines otherwise."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tqdm import tqdm

LINE_EVERY = 10.0  # seconds between plain lines


def say(text: str) -> None:
    """One line that stays, also above a running bar."""
    tqdm.write(text, file=sys.stdout)
    sys.stdout.flush()


class Progress:
    """Counts towards `total` and shows the latest figures beside the remaining time."""

    def __init__(self, name: str, total: int, *, start: int = 0) -> None:
        self._name, self._total, self._done, self._first = name, total, start, start
        self._began = self._last_line = time.monotonic()
        self._bar = None
        if sys.stderr.isatty():
            self._bar = tqdm(total=total, initial=start, desc=name, dynamic_ncols=True, file=sys.stderr)

    def advance(self, count: int = 1, **figures: float) -> None:
        self._done += count
        text = " ".join(f"{key}={value:.3f}" for key, value in figures.items())
        if self._bar is not None:
            self._bar.update(count)
            self._bar.set_postfix_str(text, refresh=False)
            return
        now = time.monotonic()
        if self._done >= self._total or now - self._last_line >= LINE_EVERY:
            self._last_line = now
            left = (now - self._began) / max(1, self._done - self._first) * (self._total - self._done)
            say(f"{self._name}: {self._done}/{self._total} {text} ({left:.0f} s left)".replace("  ", " "))

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


@contextmanager
def progress(name: str, total: int, *, start: int = 0) -> Iterator[Progress]:
    shown = Progress(name, total, start=start)
    try:
        yield shown
    finally:
        shown.close()
