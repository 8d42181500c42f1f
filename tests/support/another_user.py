"""Programs run as a user whom nobody knows: no home, no name, and nothing of the code that it could write.

This is how containers of OpenShift run, and of Kubernetes with `runAsUser` and `readOnlyRootFilesystem`.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

from tests.support.paths import ROOT

__all__ = ["OTHER", "as_root", "by_another", "environment_of_another", "open_folder", "run_by_another"]

OTHER = 12345
READING = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
"""Whoever may read everything still writes nowhere."""

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")


@cache
def by_another(*, reading: bool = True) -> tuple[str, ...]:
    """What stands before a command that another user is to run.

    reading: let it read code and interpreter where they lie in a folder that only root may enter.
    """
    user = ("setpriv", f"--reuid={OTHER}", f"--regid={OTHER}", "--clear-groups")
    started = ["sh", "-c", '"$0" "$1"', sys.executable, ROOT / "gemserve" / "caches.py"]  # as the engine is, by another
    reached = subprocess.run([*user, *started], check=False, capture_output=True)
    return user if reached.returncode == 0 or not reading else (*user, *READING)


def environment_of_another(temporary: Path, **variables: str) -> dict[str, str]:
    """No variable of ours but the path, and no folder that it could write but `temporary`."""
    kept = {name: os.environ[name] for name in ("PATH", "HF_HUB_OFFLINE", "OMP_NUM_THREADS") if name in os.environ}
    return kept | {"HOME": "/", "TMPDIR": str(temporary), "PYTHONPATH": str(ROOT), **variables}


def run_by_another(
    *words: str | Path, environment: Mapping[str, str], reading: bool = True
) -> "subprocess.CompletedProcess[str]":
    """`python WORDS…`, in a folder that it cannot write."""
    command = [*by_another(reading=reading), sys.executable, *words]
    return subprocess.run(
        command,
        env=environment,
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        stdin=subprocess.DEVNULL,
    )


@contextmanager
def open_folder(mode: int = 0o755) -> Iterator[Path]:
    """A folder that everybody may enter, which those that pytest makes are not. 0o1777: and write, as /tmp."""
    folder = Path(tempfile.mkdtemp(prefix="gemserve-", dir="/tmp"))
    folder.chmod(mode)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
