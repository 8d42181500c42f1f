"""Programs that a program runs: they end with it, so that none goes on unseen with its files and processors."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import IO

__all__ = ["exits_on_sigterm", "run_child"]

GRACE_SECONDS = 10.0
"""What a child has to end by itself before it is killed."""


def run_child(
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    output: IO[bytes] | None = None,
) -> int:
    """Runs a program to its end and returns its exit status. Raises OSError where it cannot be begun.

    Where this process is asked to end meanwhile, by SIGTERM or from a terminal, the program is asked to as well and
    waited for; then SystemExit or KeyboardInterrupt is raised, so that what encloses the call tidies up.

    output: takes what it writes to its standard output and error; by default they are this process's.
    """
    with exits_on_sigterm(), subprocess.Popen(command, env=env, cwd=cwd, stdout=output, stderr=output) as child:
        try:
            return child.wait()
        except BaseException:
            child.terminate()
            try:
                child.wait(GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
            raise


@contextmanager
def exits_on_sigterm() -> Iterator[None]:
    """SIGTERM raises SystemExit with a shell's status for it, where this is the process's main thread."""

    def leave(number: int, _: FrameType | None) -> None:
        sys.exit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
