"""The traffic split in Redis: a SplitStore."""

from __future__ import annotations

from collections.abc import Mapping

import orjson
from pydantic import PositiveInt, TypeAdapter, ValidationError

from server.core.errors import HistoryUnavailable
from server.core.settings import StorageSettings
from server.storage.client import RedisClient, Script
from server.storage.keyspace import SPLIT_KEY
from server.storage.protocol import StoredSplit

__all__ = ["RedisSplit"]

CONNECTIONS = 2
WRITE_SPLIT = Script.named("write_split")
WEIGHTS: TypeAdapter[dict[str, int] | None] = TypeAdapter(dict[str, PositiveInt] | None)


class RedisSplit:
    """Connects when first used, and again by itself after Redis was away."""

    def __init__(self, settings: StorageSettings) -> None:
        self._client = RedisClient(settings.url, CONNECTIONS)
        self._timeout = settings.write_timeout

    async def read(self) -> StoredSplit:
        async with self._client.limit("read_split", self._timeout):
            number, weights = await self._client.redis.hmget(SPLIT_KEY, ["number", "weights"])
        try:
            return StoredSplit(int(number or 0), WEIGHTS.validate_json(weights or b"null"))
        except (ValueError, ValidationError) as error:
            raise HistoryUnavailable(f"{SPLIT_KEY} in Redis is not as this server writes it") from error

    async def write(self, weights: Mapping[str, int] | None, *, expected: int, number: int) -> bool:
        text = orjson.dumps(None if weights is None else dict(weights))
        async with self._client.limit("write_split", self._timeout):
            return bool(await self._client.run(WRITE_SPLIT, [SPLIT_KEY], expected, number, text) == 1)

    async def close(self) -> None:
        await self._client.close()
