"""`python -m server` as a process of its own, the way `make serve` starts it, or a program like it."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.processes import Process

READY = re.compile(r"gemserve: ready on (http://\S+) ")
START_SECONDS = 180  # an engine starts in 20; machines here are shared
PATIENT = ("--redis-read-timeout-ms", "20000", "--redis-write-timeout-ms", "20000", "--guidance-timeout-ms", "20000")
"""A busy machine is no fault, where an answer without its user's history is not what is tried."""


def start(
    *words: str | Path, imported: str | None, user: Sequence[str], environment: Mapping[str, str]
) -> subprocess.Popen[str] | Process:
    if imported is not None:
        return Process(*words, imported=imported, environment=environment)
    command = [*user, sys.executable, *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)


class ServerProcess:
    """Runs until `stop`; `url` is where it answers, `lines` what it printed.

    module: the server itself, or a program like it.
    imported: the fork server that it comes from (`tests.support.processes`). None starts it as a user does.
    user, environment: what stands before the command and its variables (`tests.support.another_user`); ours if None.
    """

    def __init__(
        self,
        *arguments: str | Path,
        module: str = "server",
        imported: str | None = None,
        user: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        variables = os.environ if environment is None else environment
        self._process = start(
            "-m", module, *arguments, imported=imported, user=user, environment={**variables, "PORT": ""}
        )
        self.lines: list[str] = []
        self.url = ""
        self._ready = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if not self._ready.wait(START_SECONDS) or not self.url:
            self._process.kill()
            self._process.wait()
            self._reader.join()
            raise RuntimeError("the server did not start:\n" + "".join(self.lines[-40:]))

    @property
    def pid(self) -> int:
        return self._process.pid

    def stop(self) -> int:
        """SIGTERM, then the exit status. Harmless when it has stopped already."""
        self._process.send_signal(signal.SIGTERM)
        status = self._process.wait(60)
        self._reader.join()
        return status

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as output:
            for line in output:
                self.lines.append(line)
                found = READY.search(line)
                if found:
                    self.url = found[1]
                    self._ready.set()
        self._ready.set()
