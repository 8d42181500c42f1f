"""A rank that is silent, as one whose cable is cut: it is stopped, so that its connections stay and say nothing."""

import os
import signal
import socket
import sys
import time

import pytest

from tests.support.processes import Process
from tests.trainer.distributed.two_processes import environment_of
from trainer.distributed.group import init_process_group

pytestmark = pytest.mark.slow

SILENCE = 4.0
BOUND = 60


@pytest.fixture
def started():
    """Starts this file's `main` in two processes; `what` is what it does."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    processes = []

    def start(what: str) -> list[Process]:
        words = ("-m", __name__, what)
        processes.extend(
            Process(*words, imported="trainer", environment=environment_of(rank, port)) for rank in range(2)
        )
        return processes

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("silent", [0, 1])
def test_a_rank_ends_when_the_other_is_not_heard_of(started, silent):
    processes = started(f"stop {silent}")
    other = processes[1 - silent]
    printed, _ = other.communicate(timeout=BOUND)
    assert other.wait() == 1
    assert f"process {1 - silent} ends: process {silent} has not been heard of for 4 s" in printed
    assert "--resume" in printed
    assert processes[silent].poll() is None, "it is still there, and says nothing"


def test_a_rank_that_works_or_waits_for_long_is_heard_of_and_one_that_has_ended_is_not_missed(started):
    for process in started("work"):
        printed, _ = process.communicate(timeout=BOUND)
        assert process.wait() == 0, printed


def main(what: str, silent: str = "-1") -> None:
    with init_process_group(SILENCE) as group:
        group.barrier()
        if group.rank == int(silent):
            os.kill(os.getpid(), signal.SIGSTOP)
        if what == "work" and group.rank == 1:
            time.sleep(2.5 * SILENCE)
        group.barrier()
    if what == "work" and group.rank == 1:
        time.sleep(1.5 * SILENCE)


if __name__ == "__main__":
    main(*sys.argv[1].split())
