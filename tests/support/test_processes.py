"""Forked programs behave as started ones do."""

import os
import signal
import subprocess
import sys

import pytest

from tests.support.processes import Process, run

PROGRAM = """
import os, sys
print(sys.argv[1:], __name__, os.getcwd(), os.environ.get("GIVEN"), "PATH" in os.environ, flush=True)
print("wrong", file=sys.stderr)
sys.exit(int(sys.argv[1]))
"""
WAITING = """
import atexit, signal, sys, time
atexit.register(print, "at exit")
if "deaf" in sys.argv: signal.signal(signal.SIGTERM, lambda *_: print("heard", flush=True))
print("ready", flush=True)
while True: time.sleep(0.01)
"""


@pytest.fixture
def program(tmp_path):
    file = tmp_path / "program.py"
    file.write_text(PROGRAM)
    return file


def test_a_forked_program_is_the_started_one(program, tmp_path):
    environment = {"GIVEN": "this", "HOME": os.environ["HOME"]}
    words = [str(program), "3", "b c"]
    forked = run(*words, environment=environment, folder=tmp_path)
    started = subprocess.run(
        [sys.executable, *words], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (forked.returncode, forked.stdout, forked.stderr) == (started.returncode, started.stdout, started.stderr)
    assert forked.returncode == 3
    assert "wrong" in forked.stderr


def test_a_module_and_code_that_fails():
    assert "usage" in run("-m", "tests.support.fake_server", "--help").stdout.lower()
    failed = run("-c", "raise ValueError('no good')")
    assert failed.returncode == 1
    assert failed.stderr.endswith("ValueError: no good\n")


def test_it_is_signalled_waited_for_and_killed(tmp_path):
    file = tmp_path / "waiting.py"
    file.write_text(WAITING)
    process, deaf = Process(file), Process(file, "deaf")
    for one in (process, deaf):
        assert one.stdout.readline() == "ready\n"
        assert one.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        deaf.communicate(timeout=0.05)
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=60) == ("", "")
    assert process.wait() == -signal.SIGTERM
    deaf.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        deaf.communicate(timeout=0.2)
    deaf.kill()
    assert deaf.communicate() == ("heard\n", "")
    assert deaf.returncode == -signal.SIGKILL


def test_an_interrupted_program_runs_what_it_registered_for_its_end(tmp_path):
    file = tmp_path / "waiting.py"
    file.write_text(WAITING)
    process = Process(file)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    told = process.communicate()[0]
    assert "KeyboardInterrupt" in told
    assert told.endswith("at exit\n")
    assert process.returncode == -signal.SIGINT
