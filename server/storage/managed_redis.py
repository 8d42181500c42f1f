"""A redis-server that the server runs, for `--managed-redis FOLDER`: its data stay in FOLDER.

It listens on loopback only, and appends every write to a file that is synced each second. Where it ends by itself, it
is started again on the same port. It runs in a session of its own, so that Ctrl-C reaches the server alone and Redis
still answers while the server closes. If the server is killed, the kernel ends it. A lock in the folder, which both
processes hold, keeps a second Redis away from the data.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import structlog
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, RedisError
from redis.retry import Retry

from server.core.errors import StartupError

__all__ = ["free_port", "managed_redis", "url_of"]

log = structlog.get_logger(__name__)

LOOPBACK = "127.0.0.1"
PORTS = range(20_000, 32_000)  # below those that a system gives by itself
LOCK_SECONDS = 5.0  # in which the Redis of a server that was just killed ends
START_SECONDS = 120.0  # without any answer; one that answers that it is loading its data may take longer
STOP_SECONDS = 30.0
POLL_SECONDS = 0.05
WATCH_SECONDS = 0.1
INITIAL_PAUSE_SECONDS = 0.1  # before it is started again; doubled each time
MAX_PAUSE_SECONDS = 30.0
WELL_SECONDS = 60.0  # a Redis that ran for so long is started again without a longer pause

LOG = "redis.log"
URL = "url"
LAST_LINES = 2  # of the log, in a message
MAX_LINE = 200
DAMAGED = "Bad file format reading the append only file"

CONFIGURATION = {
    "bind": LOOPBACK,
    "daemonize": "no",
    "dir": ".",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "save": "",  # the append-only file is what lasts
    "maxmemory-policy": "noeviction",
    "loglevel": "warning",
    "logfile": LOG,
}


@contextlib.contextmanager
def managed_redis(folder: Path, port: int = 0) -> Iterator[str]:
    """The URL of a redis-server that keeps its data in `folder`; it ends with the context. Port 0 takes a free one.

    While it runs, `url_of(folder)` tells other processes its URL. What ends it is logged, and it is started again.
    Raises StartupError where redis-server is not installed, the folder is in use, or Redis does not start.
    """
    binary = shutil.which("redis-server")
    if binary is None:
        raise StartupError("redis-server is not installed: `apt-get install redis-server`, or name one with --redis")
    with _lock_of(folder) as lock:
        _take(lock, folder)
        port = port or free_port()
        url = f"redis://{LOOPBACK}:{port}/0"
        (folder / URL).unlink(missing_ok=True)  # of a server that was killed
        with _Supervisor(binary, folder, port, lock).running():
            (folder / URL).write_text(url)
            try:
                yield url
            finally:
                (folder / URL).unlink(missing_ok=True)


def url_of(folder: Path) -> str:
    """The URL of the redis-server that a server runs in `folder`. Raises StartupError where none does."""
    try:
        return (folder / URL).read_text()
    except OSError as error:
        raise StartupError(
            f"no server with --managed-redis {folder.absolute()} runs: start it, or name a Redis with --redis"
        ) from error


def _lock_of(folder: Path) -> IO[str]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return (folder / "lock").open("a+")
    except OSError as error:
        raise StartupError(f"the data folder {folder} cannot be used: {error}") from error


def _take(lock: IO[str], folder: Path) -> None:
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise StartupError(
                    f"the data folder {folder} is in use by another Redis: stop that one or choose another folder"
                ) from None
            time.sleep(POLL_SECONDS)
        else:
            return


def free_port() -> int:
    """A port of the loopback address that nobody listens at, which stays free until it is used: the system gives its
    own to whoever connects meanwhile. Raises OSError where there is none."""
    for port in secrets.SystemRandom().sample(PORTS, len(PORTS)):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((LOOPBACK, port))
            return port
    raise OSError(f"no port from {PORTS.start} to {PORTS.stop - 1} is free")


@dataclass(frozen=True, slots=True)
class _Run:
    """One redis-server, from its start to its end."""

    process: subprocess.Popen[bytes]
    log: Path
    log_size: int
    """Bytes of the log before this run; what follows them is its own."""
    began: float = field(default_factory=time.monotonic)

    @property
    def lasted(self) -> float:
        return time.monotonic() - self.began

    def end(self) -> str:
        """How it ended, the last lines of its log, and what to do where that is known."""
        status = self.process.returncode
        how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        said = self.last_lines()
        if DAMAGED in said:
            folder = self.log.parent.absolute() / "appendonlydir"
            said += (
                f"; nothing was changed: copy {folder}, look at what `redis-check-aof` says of its manifest, and only"
                " then let `redis-check-aof --fix` cut off what follows the damage"
            )
        return f"{how}: {said}"

    def last_lines(self) -> str:
        try:
            with self.log.open("rb") as file:
                file.seek(self.log_size)
                lines = file.read().decode(errors="replace").splitlines()
        except OSError as error:
            return f"{self.log} cannot be read: {error.strerror}"
        return " | ".join(line[:MAX_LINE] for line in lines[-LAST_LINES:]) or "it said nothing"


@dataclass(frozen=True, slots=True)
class _Supervisor:
    """Runs a redis-server in a folder, and starts it again when it ends."""

    binary: str
    folder: Path
    port: int
    lock: IO[str]
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    """Redis's own: this process's may be changed for a moment, while an engine starts."""
    stopping: threading.Event = field(default_factory=threading.Event)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Raises StartupError where it does not start the first time."""
        # One thread starts every run: the kernel ends the child as soon as the *thread* that started it ends.
        with ThreadPoolExecutor(1, "managed-redis") as thread:
            start = thread.submit(self._start)
            watching = thread.submit(lambda: self._watch(start.result()))
            try:
                start.result()
                yield
            finally:
                self.stopping.set()
            watching.result()

    def _start(self) -> _Run:
        run = self._launch()
        try:
            self._wait_until_it_answers(run)
        except StartupError:
            _stop(run.process)
            raise
        return run

    def _watch(self, run: _Run) -> None:
        """Starts it again whenever it ends, until `stopping` is set."""
        pause = INITIAL_PAUSE_SECONDS
        while not self.stopping.wait(WATCH_SECONDS):
            if run.process.poll() is None:
                continue
            if run.lasted > WELL_SECONDS:
                pause = INITIAL_PAUSE_SECONDS
            log.error("managed_redis_ended", how=run.end(), again_in_seconds=pause)
            if self.stopping.wait(pause):
                return
            pause = min(2 * pause, MAX_PAUSE_SECONDS)
            try:
                run = self._launch()
            except OSError as error:  # no memory, say: the next try may find some
                log.error("managed_redis_not_started", error=str(error))
            else:
                log.warning("managed_redis_restarted", pid=run.process.pid)
        _stop(run.process)

    def _launch(self) -> _Run:
        options = [word for name, value in CONFIGURATION.items() for word in (f"--{name}", value)]
        path = self.folder / LOG
        size = path.stat().st_size if path.is_file() else 0
        process = subprocess.Popen(
            [*_end_with_parent(), self.binary, *options, "--port", str(self.port)],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[self.lock.fileno()],  # the folder stays locked while either process lives
            start_new_session=True,
        )
        return _Run(process, path, size)

    def _wait_until_it_answers(self, run: _Run) -> None:
        deadline = time.monotonic() + START_SECONDS
        with Redis(host=LOOPBACK, port=self.port, socket_timeout=1.0, retry=Retry(NoBackoff(), 0)) as client:
            while not self.stopping.wait(POLL_SECONDS):
                if run.process.poll() is not None:
                    raise StartupError(f"redis-server {run.end()}")
                try:
                    if _answers(client, run.process.pid):
                        return
                except BusyLoadingError:
                    deadline = time.monotonic() + START_SECONDS
                if time.monotonic() > deadline:
                    raise StartupError(f"redis-server does not answer on port {self.port}: {run.last_lines()}")
        raise StartupError("redis-server was stopped before it answered")


def _end_with_parent() -> list[str]:
    """The prefix of a command that the kernel shall end with this process; empty where setpriv is not installed."""
    setpriv = shutil.which("setpriv")
    return [] if setpriv is None else [setpriv, "--pdeathsig", "TERM", "--"]


def _answers(client: Redis, pid: int) -> bool:
    """Whether this very process answers: another Redis may have had the port before. Raises BusyLoadingError."""
    try:
        client.ping()
        return bool(client.info("server")["process_id"] == pid)
    except BusyLoadingError:
        raise
    except RedisError:
        return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
