"""A real redis-server for tests, on a free loopback port, one per session."""

from collections.abc import Iterator

import pytest
from redis import Redis

from server.storage.managed_redis import managed_redis


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
