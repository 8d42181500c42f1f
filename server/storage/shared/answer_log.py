"""The stream of answers in Redis, and the logs of events and erasures beside it: an AnswerLog."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from catalog.data.tombstones import digest_of
from server.core.settings import StorageSettings
from server.storage.client import RedisClient
from server.storage.keyspace import ANSWERS_LENGTH, Keyspace, StreamPlace, buckets_in
from server.storage.protocol import AnalyticsBatch

__all__ = ["RedisAnswerLog"]

CONNECTIONS = 2
PIECE = 1_000
"""Answers, and events of a bucket, in one round trip."""
BEFORE_ALL = "0"

Entry = tuple[bytes, Mapping[bytes, bytes]]


class RedisAnswerLog:
    """It connects when first used, and again by itself after Redis was away."""

    def __init__(self, settings: StorageSettings) -> None:
        self._client = RedisClient.of(settings, CONNECTIONS)
        self._keys = self._client.keys
        self._timeout = settings.write_timeout

    async def add(self, rows: Sequence[bytes]) -> None:
        async with self._client.limit("write_answers", self._timeout), self._client.pipeline() as pipeline:
            for row in rows:
                pipeline.xadd(self._keys.answers, {"answer": row}, maxlen=ANSWERS_LENGTH, approximate=True)
            await pipeline.execute()

    async def claim(self, owner: str, seconds: int) -> bool:
        key = self._keys.analytics_writer
        async with self._client.limit("claim_analytics", self._timeout):
            if await self._client.redis.set(key, owner, nx=True, ex=seconds):
                return True
            if await self._client.redis.get(key) != owner.encode():
                return False
            await self._client.redis.expire(key, seconds)
            return True

    async def since(self, position: Mapping[str, str]) -> AnalyticsBatch:
        async with self._client.limit("read_answers", self._timeout), self._client.pipeline() as pipeline:
            keys = await self._client.user_keys()
            names = [keys.answers, keys.erased, *keys.logs]
            for name in names:
                pipeline.xrange(name, f"({position.get(name, BEFORE_ALL)}", "+", count=PIECE)
            found: Sequence[Sequence[Entry]] = await pipeline.execute()
        reached = {name: entries[-1][0].decode() for name, entries in zip(names, found, strict=True) if entries}
        whole = all(len(entries) < PIECE for entries in found)
        former = _former(keys, position)
        gone = set() if former is None else set(former.logs)
        answers, erased, *logs = found
        new = [_new(entries, former, position) for entries in logs]
        return AnalyticsBatch(
            position={name: place for name, place in {**position, **reached}.items() if not (whole and name in gone)},
            answers=[{"place": place.decode(), **orjson.loads(fields[b"answer"])} for place, fields in answers],
            events=[event for bucket, entries in enumerate(new) for event in _events(keys.tag(bucket), entries)],
            erased=tuple(fields[b"user"].decode() for _, fields in erased),
            whole=whole,
        )

    async def trim(self, position: Mapping[str, str]) -> None:
        reached = position.get(self._keys.answers)
        if reached is None:
            return
        async with self._client.limit("trim_answers", self._timeout):
            await self._client.redis.xtrim(
                self._keys.answers, minid=StreamPlace.of(reached).next.stream_id, approximate=False
            )

    async def close(self) -> None:
        await self._client.close()


def _former(keys: Keyspace, position: Mapping[str, str]) -> Keyspace | None:
    """Where users were when a position was written, if their buckets have changed since."""
    numbers = {number for name in position if (number := buckets_in(name)) is not None} - {keys.buckets}
    return Keyspace(keys.namespace, min(numbers)) if numbers else None


def _new(entries: Sequence[Entry], former: Keyspace | None, position: Mapping[str, str]) -> Sequence[Entry]:
    """Without those that were read when they were in the log of their user's former bucket."""
    if former is None:
        return entries

    def is_new(place: bytes, user: bytes) -> bool:
        log = former.bucket_key("log", former.bucket_of(user.decode()))
        return StreamPlace.of(place) > StreamPlace.of(position.get(log, BEFORE_ALL))

    return [(place, fields) for place, fields in entries if is_new(place, fields.get(b"user_id", b""))]


def _events(tag: str, entries: Sequence[Entry]) -> Iterator[dict[str, Any]]:
    for place, fields in entries:
        if b"user_id" not in fields:  # erased from the log meanwhile
            continue
        text = {name.decode(): value.decode() for name, value in fields.items()}
        value = text.get("value")
        yield {
            "place": f"{tag}/{place.decode()}",
            "at": int(text["timestamp"]),
            "recorded_at": StreamPlace.of(place).moment,
            "user": digest_of(text["user_id"]),
            "event_id": text["event_id"],
            "item": text["item_id"],
            "type": text["type"],
            "request_id": text["request_id"] or None,
            "value": float(value) if value else None,
        }
