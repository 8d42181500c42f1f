"""Frozen objects, and that they are not kept for ever, in processes of their own; and the limit of open files."""

import resource
import subprocess
import sys

import pytest

from server.core.errors import StartupError
from server.core.process import OWN_FILES, raise_fd_limit

MODEL = """
import gc, weakref
from server.core.process import gc_freeze, gc_refreeze

class Model:
    def __init__(self):
        self.circle = self

model = Model()
gone = weakref.ref(model)
"""

LEAVES = """
gc_freeze()
assert gc.get_freeze_count() > 0
del model
gc.collect()
assert gone() is not None, "it was not set aside"
gc_refreeze()
assert gone() is None, "a model that left was kept"
"""

IS_NO_SERVER = """
assert gc.get_freeze_count() == 0
gc_refreeze()
assert gc.get_freeze_count() == 0, "set aside where nobody asked for it"
"""


@pytest.mark.parametrize("program", [LEAVES, IS_NO_SERVER], ids=["a model leaves", "no server"])
def test_what_is_set_aside(program: str) -> None:
    command = [sys.executable, "-c", MODEL + program]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr


INFINITY = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("soft", "hard", "after"),
    [
        (1_024, 4_096, 1_000 + OWN_FILES),
        (1_024, INFINITY, 1_000 + OWN_FILES),
        (1_000 + OWN_FILES, 4_096, 1_000 + OWN_FILES),
        (65_536, 65_536, 65_536),
        (INFINITY, INFINITY, INFINITY),
    ],
)
def test_the_limit_is_raised_as_far_as_needed(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, after: int
) -> None:
    limits = [(soft, hard)]
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, wanted: limits.append(wanted))
    raise_fd_limit(1_000)
    assert limits[-1] == (after, hard)


def test_a_limit_that_cannot_be_raised_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 1_024))
    with pytest.raises(StartupError, match=r"1,024 files, and 1,000 connections need 1,512"):
        raise_fd_limit(1_000)
