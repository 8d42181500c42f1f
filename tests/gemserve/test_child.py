"""A program that is run ends with the one that runs it, which tidies up."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from gemserve.child import run_child
from tests.support.paths import ROOT
from tests.support.waiting import PATIENCE_SECONDS

PARENT = """
import signal, sys
from pathlib import Path
import gemserve.child
gemserve.child.GRACE_SECONDS = 1.0
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background job ignores
try:
    gemserve.child.run_child([sys.executable, "-c", Path(sys.argv[1]).read_text(), sys.argv[2]])
finally:
    Path(sys.argv[2], "tidied").touch()
"""
CHILD = """
import os, pathlib, sys, time
folder = pathlib.Path(sys.argv[1])
(folder / "draft").write_text(str(os.getpid()))
(folder / "draft").rename(folder / "pid")
time.sleep(600)
"""
DEAF = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + CHILD


def waits_for(path: Path) -> str:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not path.exists():
        assert time.monotonic() < deadline, f"{path.name} never came"
        time.sleep(0.01)
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("asked", "child", "status"),
    [
        (signal.SIGTERM, CHILD, 128 + signal.SIGTERM),
        (signal.SIGINT, CHILD, -signal.SIGINT),
        (signal.SIGTERM, DEAF, 128 + signal.SIGTERM),
    ],
    ids=["terminated", "interrupted", "a child that does not listen"],
)
def test_what_ends_a_program_ends_what_it_runs(tmp_path: Path, asked: int, child: str, status: int) -> None:
    (tmp_path / "child.py").write_text(child, encoding="utf-8")
    with subprocess.Popen([sys.executable, "-c", PARENT, tmp_path / "child.py", tmp_path], cwd=ROOT) as parent:
        try:
            pid = int(waits_for(tmp_path / "pid"))
            parent.send_signal(asked)
            assert parent.wait(PATIENCE_SECONDS) == status
            assert not psutil.pid_exists(pid)
        finally:
            parent.kill()
    assert (tmp_path / "tidied").exists()


def test_the_status_and_the_output_are_those_of_the_program(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import os; print(os.environ['WORD'], os.getcwd()); raise SystemExit(7)"]
    with (tmp_path / "log").open("wb") as log:
        assert run_child(command, env={**os.environ, "WORD": "tent"}, cwd=tmp_path, output=log) == 7
    assert (tmp_path / "log").read_text(encoding="utf-8").split() == ["tent", str(tmp_path)]


def test_sigterm_means_what_it_meant_when_the_program_is_over() -> None:
    before = signal.getsignal(signal.SIGTERM)
    run_child([sys.executable, "-c", ""])
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_thread_may_run_a_program_too() -> None:
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(run_child([sys.executable, "-c", "raise SystemExit(3)"])))
    thread.start()
    thread.join()
    assert found == [3]
