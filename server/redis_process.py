"""A redis-server of our own, for `--own-redis FOLDER`: it starts and stops with the server, its data stay in FOLDER.

It listens on loopback only and appends every write to a file that is synced each second. It runs in a session of its
own, so that Ctrl-C reaches the server first and Redis is still there while the server closes; should the server be
killed, the kernel ends it. A lock in the folder, held by both, keeps a second Redis away from the same data.
"""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from server.errors import StartupError

__all__ = ["free_port", "own_redis"]

LOOPBACK = "127.0.0.1"
LOCK_SECONDS = 5.0  # a Redis whose server was killed a moment ago is still ending
START_SECONDS = 120.0  # reading a large log back takes a while
STOP_SECONDS = 30.0
POLL_SECONDS = 0.05

CONFIGURATION = {
    "bind": LOOPBACK,
    "daemonize": "no",
    "dir": ".",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "save": "",  # the append-only file is what lasts
    "maxmemory-policy": "noeviction",
    "loglevel": "warning",
    "logfile": "redis.log",
}


@contextlib.contextmanager
def own_redis(folder: Path, port: int = 0) -> Iterator[str]:
    """The URL of a redis-server that keeps its data in `folder`; it ends with the context. Port 0 takes a free one.

    Raises StartupError where redis-server is not installed, the folder is in use, or Redis does not start.
    """
    binary = shutil.which("redis-server")
    if binary is None:
        raise StartupError("redis-server is not installed: `apt-get install redis-server`, or name one with --redis")
    with _lock_of(folder) as lock:
        _take(lock, folder)
        port = port or free_port()
        process = _start(binary, folder, port, lock)
        try:
            _wait_until_it_answers(process, folder, port)
            yield f"redis://{LOOPBACK}:{port}/0"
        finally:
            _stop(process)


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
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _start(binary: str, folder: Path, port: int, lock: IO[str]) -> subprocess.Popen[bytes]:
    options = [word for name, value in CONFIGURATION.items() for word in (f"--{name}", value)]
    return subprocess.Popen(
        [*_end_with_parent(), binary, *options, "--port", str(port)],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        pass_fds=[lock.fileno()],  # the folder stays locked for as long as either of us lives
        start_new_session=True,
    )


def _end_with_parent() -> list[str]:
    """What to put before a command so that the kernel ends it with this process; nothing where that cannot be had."""
    setpriv = shutil.which("setpriv")
    return [] if setpriv is None else [setpriv, "--pdeathsig", "TERM", "--"]


def _wait_until_it_answers(process: subprocess.Popen[bytes], folder: Path, port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    with Redis(host=LOOPBACK, port=port, socket_timeout=1.0, retry=Retry(NoBackoff(), 0)) as client:
        while True:
            if process.poll() is not None:
                raise StartupError(f"redis-server ended with status {process.returncode}: {_last_words(folder)}")
            if _answers(client, process.pid):
                return
            if time.monotonic() > deadline:
                raise StartupError(f"redis-server does not answer on port {port}: {_last_words(folder)}")
            time.sleep(POLL_SECONDS)


def _answers(client: Redis, pid: int) -> bool:
    """Whether this very process answers: another Redis may have had the port before."""
    try:
        client.ping()  # an error while Redis reads its data back
        return bool(client.info("server")["process_id"] == pid)
    except RedisError:
        return False


def _last_words(folder: Path) -> str:
    log = folder / "redis.log"
    if not log.is_file():
        return "it left no log"
    return " | ".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-3:])


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
