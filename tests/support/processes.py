"""Programs of this project as processes of their own, forked from one that has imported what they need.

`python -m trainer.run` imports for five seconds before it does anything; a test that needs a process, to kill it or to
have two of them, need not wait for that. It is the same program with the same words, environment, descriptors and
signals. Where the start itself is what is tested, use `subprocess`.
"""

import atexit
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import IO, Self

from tests.support.paths import ROOT

__all__ = ["Process", "run"]

IMPORTED = {
    "server": ("server.app", "tests.support.small_shop", "tests.support.fake_engine", "uvicorn.protocols.http.auto"),
    "vllm": ("server.app", "uvicorn.protocols.http.auto", "vllm.engine.arg_utils", "vllm.v1.engine.async_llm"),
    "trainer": ("server.app", "trainer.pipeline", "trainer.model.warm_start", "tests.support.world"),
}


class Process:
    """A running `python WORDS…`, like a `subprocess.Popen` whose output is text.

    words: as behind `python`: `-m MODULE …`, `-c CODE …` or `FILE …`.
    imported: which fork server it comes from, by a name in IMPORTED.
    environment, folder: those of this process if None.
    stderr: with the output (`subprocess.STDOUT`), or by itself in `self.stderr` (`subprocess.PIPE`).
    """

    def __init__(
        self,
        *words: str | Path,
        imported: str = "server",
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        stderr: int = subprocess.STDOUT,
    ) -> None:
        self.args = [str(word) for word in words]
        program = {
            "words": self.args,
            "environment": dict(os.environ if environment is None else environment),
            "folder": str(folder or Path.cwd()),
        }
        self._answers, theirs = socket.socketpair()
        out, out_end = os.pipe()
        err, err_end = os.pipe() if stderr == subprocess.PIPE else (None, out_end)
        try:
            with theirs:
                fork_server(imported).ask(json.dumps(program).encode(), [theirs.fileno(), out_end, err_end])
        finally:
            for end in {out_end, err_end}:
                os.close(end)
        self._lines = self._answers.makefile()
        self.stdout: IO[str] = os.fdopen(out, encoding="utf-8")
        self.stderr: IO[str] | None = None if err is None else os.fdopen(err, encoding="utf-8")
        self.pid = int(self._lines.readline())
        self.returncode: int | None = None
        self._readers: list[Reader] = []
        self._ended = threading.Event()
        threading.Thread(target=self._wait, daemon=True).start()

    def _wait(self) -> None:
        with self._answers, self._lines:
            self.returncode = int(self._lines.readline())
        self._ended.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Waits for its end, like a `subprocess.Popen`."""
        self.wait()
        for stream in (self.stdout, self.stderr):
            if stream is not None:
                stream.close()

    def poll(self) -> int | None:
        """The exit status, negative where a signal ended it; None while it runs."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit status. Raises subprocess.TimeoutExpired."""
        if not self._ended.wait(timeout):
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Nothing happens where it has ended."""
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """All that it printed, and on standard error where that is by itself. Raises subprocess.TimeoutExpired."""
        if not self._readers:
            self._readers = [Reader(stream) for stream in (self.stdout, self.stderr) if stream is not None]
        self.wait(timeout)
        said = [reader.all() for reader in self._readers]
        return said[0], said[1] if self.stderr is not None else ""


class Reader:
    """Reads a stream to its end, whoever waits for that."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._text = ""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def all(self) -> str:
        self._thread.join()
        return self._text

    def _read(self) -> None:
        with self._stream:
            self._text = self._stream.read()


def run(
    *words: str | Path,
    imported: str = "server",
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> "subprocess.CompletedProcess[str]":
    """`subprocess.run([sys.executable, *words], capture_output=True, text=True, …)`."""
    process = Process(*words, imported=imported, environment=environment, folder=folder, stderr=subprocess.PIPE)
    out, err = process.communicate()
    return subprocess.CompletedProcess(process.args, process.wait(), out, err)


class ForkServer:
    """A started tests.support.fork_server; it ends when this process does."""

    def __init__(self, modules: tuple[str, ...]) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, "-m", "tests.support.fork_server", str(theirs.fileno()), *modules]
            self._process = subprocess.Popen(command, cwd=ROOT, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
        atexit.register(self.close)

    def ask(self, message: bytes, descriptors: list[int]) -> None:
        socket.send_fds(self._control, [message], descriptors)

    def close(self) -> None:
        self._control.close()
        self._process.wait()


@cache
def fork_server(imported: str) -> ForkServer:
    return ForkServer(IMPORTED[imported])
