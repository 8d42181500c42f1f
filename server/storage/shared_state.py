"""What all servers on one Redis share: the traffic split and the synonyms, each a hash that is written as a whole."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import orjson
from pydantic import PositiveInt, TypeAdapter, ValidationError

from catalog.priors.words import SynonymSet
from server.core.errors import HistoryUnavailable
from server.core.settings import StorageSettings
from server.storage.client import RedisClient, Script
from server.storage.keyspace import SPLIT_KEY, SYNONYMS_KEY
from server.storage.protocol import StoredSplit, StoredSynonyms

__all__ = ["RedisSplit", "RedisSynonyms"]

CONNECTIONS = 2
WRITE = Script.named("write_state")
WEIGHTS: TypeAdapter[dict[str, int] | None] = TypeAdapter(dict[str, PositiveInt] | None)
SETS: TypeAdapter[list[SynonymSet]] = TypeAdapter(list[SynonymSet])


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
            return bool(await self._client.run(WRITE, [SPLIT_KEY], expected, number, "weights", text) == 1)

    async def close(self) -> None:
        await self._client.close()


class RedisSynonyms:
    """A SynonymStore. It connects when first used, and again by itself after Redis was away."""

    def __init__(self, settings: StorageSettings) -> None:
        self._client = RedisClient(settings.url, CONNECTIONS)
        self._timeout = settings.write_timeout

    async def number(self) -> int:
        async with self._client.limit("read_synonyms", self._timeout):
            return _whole(await self._client.redis.hget(SYNONYMS_KEY, "number"))

    async def read(self) -> StoredSynonyms:
        async with self._client.limit("read_synonyms", self._timeout):
            number, sets = await self._client.redis.hmget(SYNONYMS_KEY, ["number", "sets"])
        try:
            found = await asyncio.to_thread(SETS.validate_json, sets or b"[]")
        except ValidationError as error:
            raise HistoryUnavailable(f"{SYNONYMS_KEY} in Redis is not as this server writes it") from error
        return StoredSynonyms(_whole(number), {one.id: one for one in found})

    async def write(self, sets: Mapping[str, SynonymSet], *, expected: int, number: int) -> bool:
        text = await asyncio.to_thread(orjson.dumps, list(sets.values()))
        async with self._client.limit("write_synonyms", self._timeout):
            return bool(await self._client.run(WRITE, [SYNONYMS_KEY], expected, number, "sets", text) == 1)

    async def close(self) -> None:
        await self._client.close()


def _whole(number: bytes | str | None) -> int:
    try:
        return int(number or 0)
    except ValueError as error:
        raise HistoryUnavailable(f"{SYNONYMS_KEY} in Redis is not as this server writes it") from error
