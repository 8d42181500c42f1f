"""How a command of this package ends where it cannot do its work: one line, and the exit status 2."""

from __future__ import annotations

import sys
from collections.abc import Callable

from catalog.errors import CatalogError
from trainer.core.errors import TrainerError

__all__ = ["exit_status"]


def exit_status(name: str, work: Callable[[], None]) -> int:
    """0, or 2 after saying on standard error why `work` could not be done."""
    try:
        work()
    except (CatalogError, TrainerError, OSError) as error:
        print(f"trainer.analysis.{name}: {error}", file=sys.stderr)
        return 2
    return 0
