"""The documentation's store as a process of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from server.storage.managed_redis import managed_redis
from tests.clients.conftest import make_key
from tests.support.server_process import ServerProcess

__all__ = ["Store", "locked_store", "open_store"]


@dataclass(frozen=True)
class Store:
    """key: of scope admin; empty where there is none."""

    url: str
    redis: str
    key: str = field(repr=False)


@contextmanager
def open_store(folder: Path) -> Iterator[Store]:
    """Without keys."""
    with _running(folder, "", "--open-admin", "true") as store:
        yield store


@contextmanager
def locked_store(folder: Path, *flags: str) -> Iterator[Store]:
    """Which wants a key."""
    key = make_key(folder / "keys.json")
    with _running(folder, key, "--keys", str(folder / "keys.json"), *flags) as store:
        yield store


@contextmanager
def _running(folder: Path, key: str, *flags: str) -> Iterator[Store]:
    with managed_redis(folder / "redis") as redis:
        started = ("--bundles", folder / "bundles", "--redis", redis, "--port", "0", *flags)
        server = ServerProcess(*started, module="tests.docs.store_server", imported="server")
        try:
            yield Store(server.url, redis, key)
        finally:
            assert server.stop() == 0
