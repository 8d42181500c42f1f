"""Frozen objects and freed memory, in processes of their own; and the limit of open files."""

import ctypes
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

import server
from server.core.errors import StartupError
from server.core.process import OWN_FILES, module_paths, raise_fd_limit

COLLECTIONS = """
import gc
from server.core.process import gc_deferred, gc_freeze

seen = []  # by every full collection, how many objects it looks at

def note(phase, info):
    if phase == "start" and info["generation"] == 2:
        seen.append(len(gc.get_objects()))

def load():
    return [[] for _ in range(300_000)]

gc.callbacks.append(note)
thresholds = gc.get_threshold()
"""

HEAP = """
import threading
from loadtest.measure.process import memory_kb
from server.core.process import give_memory_back

kept = []

def load():
    texts = [f"{number:01000}" for number in range(60_000)]  # longer than what Python has pools of its own for
    kept.extend(texts[::100])

thread = threading.Thread(target=load)
thread.start()
thread.join()
before = memory_kb()["RssAnon"]
give_memory_back()
after = memory_kb()["RssAnon"]
assert after < before - 30_000, (before, after)
assert kept[7] == f"{700:01000}"
"""

SERVER = """
first = load()
gc_freeze()
seen.clear()
with gc_deferred():
    second = load()
    assert gc.get_threshold() != thresholds
assert gc.get_threshold() == thresholds
assert gc.get_freeze_count() > 600_000, "what was loaded is not frozen"
assert max(seen) < 10_000, "somebody waited for a full collection"
"""

LEAVES = """
import weakref

class Model:
    pass

model = Model()
gc_freeze()
gone = weakref.ref(model)
gc.disable()
del model
assert gone() is None
"""

IS_NO_SERVER = """
with gc_deferred():
    assert gc.get_threshold() == thresholds
    model = load()
assert gc.get_freeze_count() == 0, "frozen where nobody asked for it"
"""


@pytest.mark.parametrize("program", [SERVER, LEAVES, IS_NO_SERVER], ids=["a server", "a model leaves", "no server"])
def test_what_is_frozen(program: str) -> None:
    succeeds(COLLECTIONS + program)


def succeeds(program: str) -> None:
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="only glibc's malloc gives back when asked")
def test_what_was_freed_between_what_lives_on_is_given_back() -> None:
    succeeds(HEAP)


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


def test_another_python_finds_the_same_modules_before_those_of_its_working_directory(tmp_path: Path) -> None:
    (tmp_path / "server.py").write_text("raise SystemExit('a program of the operator')")
    command = [sys.executable, "-c", "import server, sys; print(server.__file__, sys.path)"]
    environment = {**os.environ, **module_paths()}
    ended = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.stdout.startswith(server.__file__), ended.stderr
    assert "''" not in ended.stdout
