"""Followers of the event log in Redis: an EventLog.

A position is the last stream id that was read of each bucket's log, and of the stream of erased users. That one is read
after the logs: an event that came before an erasure has been read by then, or is gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from catalog.data.events import EventType
from catalog.data.tombstones import digest_of
from server.core.settings import StorageSettings
from server.storage.client import RedisClient
from server.storage.keyspace import StreamPlace
from server.storage.protocol import Deed, LogBatch, LoggedEvent
from server.storage.redis_history import deeds_of

__all__ = ["RedisEventLog"]

CONNECTIONS = 1
PIECE = 500
"""Entries of a bucket in one round trip."""
PAST = 50
"""Items of a user's past that are read."""
USERS = 200
"""Users whose past is read in one round trip."""

IMPRESSION = EventType.IMPRESSION.value.encode()

Entry = tuple[bytes, Mapping[bytes, bytes]]


class RedisEventLog:
    """An EventLog in Redis. It connects when it is first used, and again by itself after Redis was away."""

    def __init__(self, settings: StorageSettings) -> None:
        self._client = RedisClient.of(settings, CONNECTIONS)
        self._timeout = settings.write_timeout

    async def begin(self, after: int, limit: int) -> LogBatch:
        async with self._client.limit("begin_log", self._timeout):
            keys = await self._client.user_keys()
            erased: Any = await self._client.redis.xrevrange(keys.erased, count=1)
        found: list[Any] = []
        share = max(1, limit // keys.buckets)
        for log in keys.logs:  # one by one: together they could take longer than any time limit
            async with self._client.limit("begin_log", self._timeout):
                entries: Any = await self._client.redis.xrevrange(log, "+", str(after), count=share)
            found.append(entries[::-1])
        first = (*(str(after) for _ in keys.logs), "0")
        return await self._batch(first, [*found, erased], after, erased=())

    async def since(self, position: tuple[str, ...], after: int) -> LogBatch:
        async with self._client.limit("read_log", self._timeout), self._client.pipeline() as pipeline:
            keys = await self._client.user_keys()
            for key, last in zip([*keys.logs, keys.erased], position, strict=True):
                pipeline.xrange(key, f"({last}", "+", count=PIECE)
            *found, erased = await pipeline.execute()
        users = tuple(fields[b"user"].decode() for _, fields in erased)
        return await self._batch(position, [*found, erased], after, erased=users)

    async def close(self) -> None:
        await self._client.close()

    async def _batch(
        self, before: Sequence[str], found: Sequence[Sequence[Entry]], after: int, *, erased: tuple[str, ...]
    ) -> LogBatch:
        position = tuple(
            entries[-1][0].decode() if entries else last for last, entries in zip(before, found, strict=True)
        )
        newer = await asyncio.to_thread(_newer, found[:-1], after)
        past = await self._past(list(dict.fromkeys(user for user, *_ in newer)), after)
        oldest = min((StreamPlace.of(entries[0][0]).moment for entries in found[:-1] if entries), default=None)
        return LogBatch(position, await asyncio.to_thread(_events, newer, past), erased, oldest)

    async def _past(self, users: Sequence[str], until: int) -> dict[str, tuple[Deed, ...]]:
        """What is in each user's history up to a time, oldest first."""
        past: dict[str, tuple[Deed, ...]] = {}
        for start in range(0, len(users), USERS):
            some = users[start : start + USERS]
            async with self._client.limit("read_past", self._timeout), self._client.pipeline() as pipeline:
                keys = await self._client.user_keys()
                for user in some:
                    pipeline.zrevrangebyscore(keys.user_key("history", user), until, "-inf", 0, PAST)
                found = await pipeline.execute()
            past |= {user: tuple(deeds_of(members[::-1])) for user, members in zip(some, found, strict=True)}
        return past


def _newer(logs: Sequence[Sequence[Entry]], after: int) -> list[tuple[str, Deed, int]]:
    """Users, what they did and when, of the events that are newer than a time, in the order in which they came."""
    entries = sorted((entry for log in logs for entry in log), key=lambda entry: StreamPlace.of(entry[0]))
    fields = [fields for _, fields in entries if b"user_id" in fields and int(fields[b"timestamp"]) > after]
    own = [f for f in fields if f[b"type"] != IMPRESSION]
    return [(f[b"user_id"].decode(), _deed(f), int(f[b"timestamp"])) for f in own]


def _deed(fields: Mapping[bytes, bytes]) -> Deed:
    value = fields.get(b"value")  # events of before there were values have none
    item, query, kind = (fields[name].decode() for name in (b"item_id", b"query", b"type"))
    return Deed(item, query or None, kind, float(value) if value else None)


def _events(newer: Sequence[tuple[str, Deed, int]], past: dict[str, tuple[Deed, ...]]) -> tuple[LoggedEvent, ...]:
    return tuple(
        LoggedEvent(digest_of(user), deed.item_id, deed.query, past.pop(user, ()), deed.type, deed.value, at)
        for user, deed, at in newer
    )
