"""The number of buckets, which all servers and commands take from Redis: whoever is first writes it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline

from server.core.errors import WrongRedis
from server.storage.keyspace.keys import BUCKET_KEYS, BUCKETS, Keyspace, SharedKeys
from server.storage.primary import BlockingRedis
from server.storage.primary.cluster import ClusterCommands, ClusterPipeline

__all__ = ["Buckets", "read_keyspace"]

FIELDS = ["number", "goal"]


class Buckets:
    """What clients of one Redis know of its buckets."""

    def __init__(self, keys: SharedKeys, wanted: int | None) -> None:
        """wanted: the only number with which to go on; None takes what is there."""
        self._shared, self._wanted = keys, wanted
        self._known: Keyspace | None = None

    async def keys(
        self, redis: Redis | ClusterCommands, pipeline: Callable[[], Pipeline | ClusterPipeline]
    ) -> Keyspace:
        """Asks once. Raises WrongRedis where another number is wanted, or keys are being moved, and RedisError."""
        if self._known is None:
            self._known = await self._agree(redis, pipeline)
        return self._known

    def doubt(self) -> None:
        """The next one who wants to know asks again, and goes on with the same number only."""
        if self._known is not None:
            self._wanted, self._known = self._known.buckets, None

    async def _agree(
        self, redis: Redis | ClusterCommands, pipeline: Callable[[], Pipeline | ClusterPipeline]
    ) -> Keyspace:
        key = self._shared.buckets_number
        number, goal = await cast("Awaitable[list[Any]]", redis.hmget(key, FIELDS))
        if number is None:
            first = self._wanted or BUCKETS
            if first != BUCKETS and await self._in_use(pipeline):
                first = BUCKETS
            await redis.hsetnx(key, "number", str(first))
            number, goal = await cast("Awaitable[list[Any]]", redis.hmget(key, FIELDS))
        return _checked(self._shared, [number, goal], self._wanted)

    async def _in_use(self, pipeline: Callable[[], Pipeline | ClusterPipeline]) -> bool:
        """Whether there are users of before there was a number."""
        before = Keyspace(self._shared.namespace)
        async with pipeline() as asked:
            for kind in BUCKET_KEYS:
                for key in before.of_all(kind):
                    asked.exists(key)
            return any(await asked.execute())


def read_keyspace(redis: BlockingRedis, namespace: str | None) -> Keyspace:
    """For programs without an event loop, which write no users' keys. Raises WrongRedis while keys are being moved."""
    shared = SharedKeys(namespace)
    return _checked(shared, cast("list[Any]", redis.hmget(shared.buckets_number, FIELDS)), None)


def _checked(shared: SharedKeys, found: Sequence[Any], wanted: int | None) -> Keyspace:
    number, goal = (None if value is None else int(value) for value in found)
    number = number or BUCKETS
    if goal is not None:
        raise WrongRedis(
            f"users are being moved to {goal} buckets: let `gemserve buckets {goal}` come to its end, or run it again"
        )
    if wanted not in {None, number}:
        raise WrongRedis(
            f"Redis has {number} buckets and not {wanted}: start without redis_buckets, which takes what Redis has, or"
            f" stop all servers and run `gemserve buckets {wanted}`"
        )
    return Keyspace(shared.namespace, number)
