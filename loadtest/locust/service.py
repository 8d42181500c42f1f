"""The server under load, with a Redis of its own, as `make serve` starts them; both end with the context."""

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

from loadtest.errors import LoadtestError
from loadtest.locust.redis_size import RedisSize
from server.storage.managed_redis import free_port

__all__ = ["Service", "serve", "twin"]

READY = re.compile(r"gemserve: ready on (http://\S+) ")
START_SECONDS = 300.0
STOP_SECONDS = 60.0
POLL_SECONDS = 0.2
LAST_WORDS = 20  # lines of the log that an error shows


@dataclass(frozen=True, slots=True)
class Service:
    """pid: of the server. redis: its own. None where they are not ours to watch."""

    url: str
    pid: int | None
    redis: RedisSize | None = None


@contextlib.contextmanager
def serve(bundles: Path, folder: Path, options: Sequence[str] = ()) -> Iterator[Service]:
    """A server on a free loopback port. Its log goes to `folder`/server.log, its Redis keeps its data there meanwhile.

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
        yield Service(_address(process, log), process.pid, RedisSize(port, redis))
    finally:
        _stop(process)
        shutil.rmtree(redis, ignore_errors=True)


def twin(bundles: Path, folder: Path) -> Path:
    """`folder`, an empty one, with the current bundle under two names, so that there is a model to swap with."""
    current = (bundles / "current").resolve()
    for name in (current.name, f"{current.name}-twin"):
        shutil.copytree(current, folder / name)
        file = folder / name / "manifest.json"
        manifest = json.loads(file.read_text(encoding="utf-8")) | {"version": name}
        manifest.pop("seal", None)  # it is of the other name
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
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LAST_WORDS:]
    raise LoadtestError("the server did not start:\n" + "\n".join(lines))


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
