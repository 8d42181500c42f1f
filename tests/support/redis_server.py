"""A real redis-server for tests, on a free loopback port: one per session, and those that go away and come back."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from redis import Redis

from server.storage.managed_redis import free_port, managed_redis


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a running Redis that lasts as long as the session; tests that stop Redis start their own."""
    with managed_redis(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture
def redis_url(redis_server: str) -> str:
    """The URL of a Redis that is empty."""
    with Redis.from_url(redis_server) as client:
        client.flushall()
    return redis_server


class PassingRedis:
    """A Redis at one address, which is there from `come` to `go`. folder: what it keeps is in folders of this."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self._running = ExitStack()
        self.url = f"redis://127.0.0.1:{self._port}/0"

    def come(self, data: str = "redis") -> None:
        """data: another name is another Redis, which is empty."""
        self._running.enter_context(managed_redis(self._folder / data, self._port))

    def go(self) -> None:
        """What it held is kept."""
        self._running.close()


@pytest.fixture
def passing_redis(tmp_path: Path) -> Iterator[PassingRedis]:
    """Which is not there yet."""
    redis = PassingRedis(tmp_path)
    yield redis
    redis.go()
