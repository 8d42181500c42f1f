"""The server under load, in a process of its own with a Redis of its own, as `make serve` starts them."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from loadtest.load.redis_size import RedisSize
from loadtest.measure.errors import LoadtestError
from server.storage.managed_redis import free_port

__all__ = ["ServerUnderTest", "copy_bundle_twice", "published_items", "start_server"]

READY = re.compile(r"gemserve: ready on (http://\S+) ")
START_SECONDS = 300.0
STOP_SECONDS = 60.0
POLL_SECONDS = 0.2
LOG_LINES = 20
"""Lines of the server's log that an error shows."""


@dataclass(frozen=True, slots=True)
class ServerUnderTest:
    """A server that runs.

    pid: of its process; None where that was not given.
    redis: its Redis; None where this program did not start it.
    """

    url: str
    pid: int | None
    redis: RedisSize | None = None


def published_items(bundles: Path) -> Path:
    """The items of the current bundle, a Parquet file. Raises LoadtestError where there is no current bundle."""
    current = (bundles / "current").resolve()
    if not (current / "manifest.json").is_file():
        raise LoadtestError(f"{bundles} has no current bundle: `make bundle` trains one")
    return current / "catalog" / "items.parquet"


@contextlib.contextmanager
def start_server(bundles: Path, folder: Path, options: Sequence[str] = ()) -> Iterator[ServerUnderTest]:
    """A server on a free loopback port, which ends with the context, as its Redis does.

    folder: gets the server's log, `server.log`, and the Redis's data, which are deleted at the end.
    options: further options of the command line.
    Raises LoadtestError if it does not start.
    """
    log, redis = folder / "server.log", folder / "redis"
    shutil.rmtree(redis, ignore_errors=True)
    command = [sys.executable, "-m", "server", "--bundles", str(bundles), "--managed-redis", str(redis), "--port", "0"]
    port = free_port()
    command += ["--managed-redis-port", str(port), "--open-admin", "true", "--log-level", "warning", *options]
    environment = {name: value for name, value in os.environ.items() if name != "PORT"}
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
    try:
        yield ServerUnderTest(_address(process, log), process.pid, RedisSize(port, redis))
    finally:
        _stop(process)
        shutil.rmtree(redis, ignore_errors=True)


def copy_bundle_twice(bundles: Path, folder: Path) -> Path:
    """Copy the current bundle into `folder`, an empty one, under two versions, so that there are two models to swap."""
    current = (bundles / "current").resolve()
    for name in (current.name, f"{current.name}-twin"):
        shutil.copytree(current, folder / name)
        file = folder / name / "manifest.json"
        manifest = json.loads(file.read_text(encoding="utf-8")) | {"version": name}
        manifest.pop("seal", None)  # it seals the other version's manifest
        file.write_text(json.dumps(manifest), encoding="utf-8")
    (folder / "current").symlink_to(current.name)
    return folder


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        found = READY.search(log.read_text(encoding="utf-8", errors="replace"))
        if found:
            return found[1]
        time.sleep(POLL_SECONDS)
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:]
    raise LoadtestError("the server did not start:\n" + "\n".join(lines))


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
