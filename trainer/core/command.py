"""The end of a command: its exit status, and one line on standard error where it cannot do its work."""

from __future__ import annotations

import sys
from collections.abc import Callable

from catalog.errors import CatalogError
from catalog.terminal import printable
from trainer.core.errors import TrainerError

__all__ = ["exit_status"]


def exit_status(command: str, work: Callable[[], int | None]) -> int:
    """Runs `work` and returns its exit status, 0 for None.

    Where `work` raises an error that a user can mend, it is printed behind the command's name and 2 is returned.
    """
    try:
        return work() or 0
    except (CatalogError, TrainerError, OSError) as error:
        print(f"{command}: {printable(error)}", file=sys.stderr)
        return 2
