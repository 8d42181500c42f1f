"""What tests of the store in Redis share: events, patient settings, and a look at the keys themselves."""

from collections.abc import AsyncIterator, Callable

import pytest
from redis.asyncio import Redis

from catalog.data.events import EventType
from server.core.settings import StorageSettings
from server.storage.keyspace import BUCKETS, KEYS
from server.storage.protocol import Event
from server.storage.redis_history import RedisHistory

Connect = Callable[..., RedisHistory]
START = 1_700_000_000_000


def event(
    number: int, *, user: str = "ada", item: str | None = None, late_ms: int = 0, query: str | None = None
) -> Event:
    item = f"i{number}" if item is None else item
    return Event(user, item, START + 1_000 * number - late_ms, EventType.CLICK, f"e{number}", query)


def settings(url: str, **changes: object) -> StorageSettings:
    patient = {"read_timeout_ms": 20_000, "write_timeout_ms": 20_000}  # a busy machine is no fault
    return StorageSettings(url=url, **(patient | changes))


@pytest.fixture
async def connect(redis_url: str) -> AsyncIterator[Connect]:
    """Opens histories in an empty Redis."""
    opened: list[RedisHistory] = []

    def open_history(**changes: object) -> RedisHistory:
        opened.append(RedisHistory(settings(redis_url, **changes)))
        return opened[-1]

    yield open_history
    for history in opened:
        await history.close()


@pytest.fixture
async def raw(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


async def items_of(history: RedisHistory, user: str = "ada") -> list[str]:
    return [item for item, _ in (await history.read(user)).visits]


async def log_of(raw: Redis) -> list[dict[str, str]]:
    entries = [await raw.xrange(KEYS.bucket_key("log", bucket)) for bucket in range(BUCKETS)]
    return [fields for shard in entries for _, fields in shard]
