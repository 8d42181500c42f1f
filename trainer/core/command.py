"""The end of a command: its exit status, and one line on standard error where it cannot do its work."""

from __future__ import annotations

import sys
from collections.abc import Callable

from catalog.bundle.disk import access_reason
from catalog.errors import CatalogError
from catalog.terminal_escapes import printable
from trainer.core.errors import TrainerError

__all__ = ["exit_status"]


def exit_status(command: str, work: Callable[[], int | None]) -> int:
    """Runs the work of a command, and returns its exit status.

    command: the command's name, for the message of an error.
    work: returns the exit status, or None for 0. If it raises an error that a user can mend, one line says so on
        standard error, and the exit status is 2.
    """
    try:
        return work() or 0
    except (CatalogError, TrainerError, OSError) as error:
        print(f"{command}: {printable(access_reason(error) or error)}", file=sys.stderr)
        return 2
