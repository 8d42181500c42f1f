"""The documentation's store as a process of its own."""

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from server.storage.managed_redis import url_of
from tests.clients.conftest import make_key
from tests.support.paths import ROOT
from tests.support.server_process import PATIENT, ServerProcess

__all__ = ["FIRST_DAY", "Store", "locked_store", "open_store", "server_flags_of_make"]


FIRST_DAY = Path("docs/first-day.md")
"""A page with a server of its own (`test_first_day.py`)."""


@dataclass(frozen=True)
class Store:
    """redis_folder: that of the Redis which the server runs. key: of scope admin; empty where there is none."""

    url: str
    redis: str
    redis_folder: Path
    key: str = field(repr=False)


@contextmanager
def open_store(folder: Path) -> Iterator[Store]:
    """Without keys, with the flags that `make serve ADMIN=open` gives."""
    with _running(folder, "", *admin_flags_of_make()) as store:
        yield store


@contextmanager
def locked_store(folder: Path, *flags: str) -> Iterator[Store]:
    """Which wants a key."""
    key = make_key(folder / "keys.json")
    with _running(folder, key, "--keys", str(folder / "keys.json"), *flags) as store:
        yield store


@contextmanager
def _running(folder: Path, key: str, *flags: str) -> Iterator[Store]:
    redis = folder / "redis"
    started = ("--bundles", folder / "bundles", "--managed-redis", redis, "--port", "0", *PATIENT, *flags)
    server = ServerProcess(*started, module="tests.docs.store_server", imported="server")
    try:
        yield Store(server.url, url_of(redis), redis, key)
    finally:
        assert server.stop() == 0


def server_flags_of_make(*variables: str) -> list[str]:
    """What `make serve` with these variables starts the server with."""
    environment = {name: value for name, value in os.environ.items() if name not in {"REDIS_URL", "BUNDLES", "PORT"}}
    printed = subprocess.run(
        ["make", "--dry-run", "--no-print-directory", "serve", *variables],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    command = re.search(r"-m server ((?:.*\\\n)*.*)", printed)
    assert command is not None, printed
    return command[1].replace("\\\n", " ").split()


def admin_flags_of_make() -> list[str]:
    flags = server_flags_of_make("ADMIN=open")
    assert flags[-4:-1] == ["--managed-redis", "var/redis", "--open-admin"]
    return flags[-2:]
