"""Another process that retrains, as far as its lock goes."""

import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

Holder = subprocess.Popen[str]
Hold = Callable[[float], Holder]

HOLDS = """
import sys
from server.cli.retrain import lock
lock.LEASE_SECONDS = float(sys.argv[2])
with lock.RetrainLock(lambda: sys.argv[1], None):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def hold(redis_url: str) -> Iterator[Hold]:
    """Starts one that has the lock of a Redis, until its input ends. Its lease is of so many seconds."""
    started: list[Holder] = []

    def start(lease: float) -> Holder:
        command = [sys.executable, "-c", HOLDS, redis_url, str(lease)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
