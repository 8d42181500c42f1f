"""Histories and the event log in Redis.

Keys, for a user in bucket 07 of 64:

    gemserve:{07}:history:<user>    sorted set by time: `history_length` events, gone `history_days` after the last came
    gemserve:{07}:runs:<user>       counter beside it, same lifetime
    gemserve:{07}:event_ids:<user>  recorded event ids: `event_ids` of them, each for `event_id_days`
    gemserve:{07}:log               stream: about `event_log_length` / 64 events, without an end of life

A bucket is a hash of the user, and the braces make it the key's hash tag: in a Redis Cluster one script may only touch
keys of one slot, so the log is split by bucket and every user's keys lie beside their share of it. Readers of the log
merge its 64 parts by the events' own time. Users are percent-encoded, so no name can reach another's keys.

An event id names an event of its user: a retry is recognised, for as long as ids are remembered. An event that comes
late is put where its time belongs, and events of one moment stay in order of arrival.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib import resources
from typing import Literal, cast
from urllib.parse import quote

import orjson
from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

from server.errors import HistoryUnavailable
from server.history import EMPTY, Event, History
from server.settings import Settings
from server.telemetry import HISTORY_SECONDS

__all__ = ["BUCKETS", "RedisHistory", "bucket_of", "log_key", "user_key"]

BUCKETS = 64  # part of the key layout: another number would lose every history
RUN_DIGITS = 10
RESPITE_SECONDS = 0.001
BATCH = 100  # events; a thousand at once would hold up every other request for the time it takes to pack them
RECORD_EVENT = resources.files("server").joinpath("record_event.lua").read_text(encoding="utf-8")

UserKey = Literal["history", "runs", "event_ids"]


def bucket_of(user: str) -> int:
    return hashlib.blake2b(user.encode(), digest_size=1).digest()[0] % BUCKETS


def user_key(kind: UserKey, user: str) -> str:
    return f"gemserve:{{{bucket_of(user):02}}}:{kind}:{quote(user, safe='')}"


def log_key(bucket: int) -> str:
    return f"gemserve:{{{bucket:02}}}:log"


class RedisHistory:
    """A HistoryStore. It connects when first used, and again by itself after Redis was away."""

    def __init__(self, url: str, settings: Settings) -> None:
        """url: `redis://`, `rediss://` or `unix://`; the settings give bounds, lifetimes and time limits."""
        self._read_seconds = settings.redis_read_timeout_ms / 1000
        self._write_seconds = settings.redis_write_timeout_ms / 1000
        # Waiting for a free connection is not Redis's slowness: it comes before the time limit starts.
        self._connections = asyncio.Semaphore(settings.redis_connections)
        pool = ConnectionPool.from_url(
            url,
            max_connections=settings.redis_connections,
            # `_limit` is the only clock: with a time limit of its own redis-py makes a task of every command it sends.
            socket_timeout=None,
            socket_connect_timeout=None,
            # Once, at once: for a connection that Redis closed while it was idle. Writing twice is harmless.
            retry=Retry(NoBackoff(), 1),
        )
        self._redis = Redis.from_pool(pool)
        self._script = hashlib.sha1(RECORD_EVENT.encode(), usedforsecurity=False).hexdigest()
        self._bounds = (
            settings.history_length,
            settings.history_ms,
            settings.event_ids,
            settings.event_id_ms,
            max(1, settings.event_log_length // BUCKETS),
        )

    async def read(self, user: str) -> History:
        async with self._connections, _limit("read", self._read_seconds):
            command = self._redis.zrange(user_key("history", user), 0, -1)
            members = await cast("Awaitable[list[bytes]]", command)
        return _parse(members)

    async def append(self, events: Sequence[Event]) -> list[bool]:
        """Each event atomically, a hundred in a round trip. If it raises, any of them may have been written."""
        batches = [events[start : start + BATCH] for start in range(0, len(events), BATCH)]
        async with self._connections, _limit("append", self._write_seconds):
            try:
                return [new for batch in batches for new in await self._record(batch)]
            except NoScriptError:
                await self._redis.script_load(RECORD_EVENT)
                return [new for batch in batches for new in await self._record(batch)]

    async def check(self) -> None:
        async with self._connections, _limit("check", self._read_seconds):
            await self._redis.ping()

    async def warnings(self) -> list[str]:
        try:
            async with self._connections, _limit("check", self._write_seconds):
                found = await self._redis.config_get("append*", "maxmemory-policy")
        except HistoryUnavailable:
            return []  # managed services keep their configuration to themselves
        return durability_warnings(found)

    async def close(self) -> None:
        await self._redis.aclose()
        await self._redis.connection_pool.disconnect()

    async def _record(self, events: Sequence[Event]) -> list[bool]:
        now = time.time_ns() // 1_000_000
        async with self._redis.pipeline(transaction=False) as pipeline:
            for event in events:
                keys, values = _arguments(event)
                pipeline.evalsha(self._script, len(keys), *keys, now, *self._bounds, *values)
            return [result == 1 for result in await pipeline.execute()]


def durability_warnings(configuration: Mapping[str | None, str | None]) -> list[str]:
    warnings = []
    if configuration.get("appendonly") == "no":
        warnings.append("Redis has appendonly no: acknowledged events may not survive its restart; set appendonly yes")
    elif configuration.get("appendfsync") == "no":
        warnings.append("Redis has appendfsync no: a crash may lose acknowledged events; set appendfsync everysec")
    if configuration.get("maxmemory-policy", "noeviction") != "noeviction":
        warnings.append("Redis evicts keys when memory is short, histories among them; set maxmemory-policy noeviction")
    return warnings


def _arguments(event: Event) -> tuple[list[str], list[str | int]]:
    user = event.user_id
    keys = [user_key(kind, user) for kind in ("history", "runs", "event_ids")]
    fields = (event.query or "", event.event_id, event.request_id or "")
    return [*keys, log_key(bucket_of(user))], [user, event.item_id, event.timestamp, event.type.value, *fields]


def _parse(members: Sequence[bytes]) -> History:
    if not members:
        return EMPTY
    runs = int(max(members)[:RUN_DIGITS])
    events = orjson.loads(b"[%b]" % b",".join([member[RUN_DIGITS:] for member in members]))
    return History(tuple([(item, query or None) for item, query, *_ in events]), runs)


@asynccontextmanager
async def _limit(operation: str, seconds: float) -> AsyncIterator[None]:
    """Times an operation, ends it after `seconds`, and turns whatever Redis raises into HistoryUnavailable."""
    with HISTORY_SECONDS.labels(operation).time():
        try:
            async with _timeout(seconds):
                yield
        except TimeoutError as error:
            raise HistoryUnavailable(f"Redis did not answer within {seconds:g} s") from error
        except (RedisError, OSError) as error:
            raise HistoryUnavailable(f"Redis failed: {error}") from error


@asynccontextmanager
async def _timeout(seconds: float) -> AsyncIterator[None]:
    """As asyncio.timeout, but an answer that lies ready when time is up is still read.

    A busy event loop comes to its timers late: without the respite it would blame Redis for its own delay.
    """
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None) as timeout:
        last_call = loop.call_later(seconds, lambda: timeout.reschedule(loop.time() + RESPITE_SECONDS))
        try:
            yield
        finally:
            last_call.cancel()
