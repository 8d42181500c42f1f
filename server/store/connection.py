"""The connection to Redis: one clock for every operation, one error for whatever goes wrong, scripts that reload."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import resources
from typing import Any

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

from server.errors import HistoryUnavailable
from server.telemetry import HISTORY_SECONDS, REDIS_ERRORS

__all__ = ["Call", "Connection", "Script"]

RESPITE_SECONDS = 0.001


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua file of this package. All keys of a call must lie in one slot of a cluster."""

    text: str
    sha: str

    @classmethod
    def named(cls, name: str) -> Script:
        text = resources.files("server.store").joinpath(f"{name}.lua").read_text(encoding="utf-8")
        return cls(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


@dataclass(frozen=True, slots=True)
class Call:
    """Keys and arguments of one run of a script."""

    keys: Sequence[str]
    arguments: Sequence[str | bytes | int | float]


class Connection:
    """Connects when first used, and again by itself after Redis was away."""

    def __init__(self, url: str, connections: int) -> None:
        """url: `redis://`, `rediss://` or `unix://`; connections: at most so many at a time."""
        # Waiting for a free connection is not Redis's slowness: it comes before the time limit starts.
        self._free = asyncio.Semaphore(connections)
        pool = ConnectionPool.from_url(
            url,
            max_connections=connections,
            # `limit` is the only clock: with a time limit of its own redis-py makes a task of every command it sends.
            socket_timeout=None,
            socket_connect_timeout=None,
            # Once, at once: for a connection that Redis closed while it was idle. Writing twice is harmless.
            retry=Retry(NoBackoff(), 1),
        )
        self.redis = Redis.from_pool(pool)

    @asynccontextmanager
    async def limit(self, operation: str, seconds: float) -> AsyncIterator[None]:
        """Times an operation, ends it after `seconds`, and turns whatever Redis raises into HistoryUnavailable."""
        async with self._free:
            with HISTORY_SECONDS.labels(operation).time():
                try:
                    async with _timeout(seconds):
                        yield
                except TimeoutError as error:
                    REDIS_ERRORS.labels(operation).inc()
                    raise HistoryUnavailable(f"Redis did not answer within {seconds:g} s") from error
                except (RedisError, OSError) as error:
                    REDIS_ERRORS.labels(operation).inc()
                    raise HistoryUnavailable(f"Redis failed: {error}") from error

    def pipeline(self) -> Pipeline:
        """Commands of one round trip; not a transaction, so their keys may lie in different slots."""
        return self.redis.pipeline(transaction=False)

    async def run(self, script: Script, keys: Sequence[str], *arguments: str | bytes | int | float) -> Any:
        """What the script returns; Redis is given its text again when it has forgotten it."""
        return (await self.run_all(script, [Call(keys, arguments)]))[0]

    async def run_all(self, script: Script, calls: Sequence[Call]) -> list[Any]:
        """Every call atomically, all in one round trip. If it raises, any of them may have been run."""
        try:
            return await self._run_all(script, calls)
        except NoScriptError:
            await self.redis.script_load(script.text)
            return await self._run_all(script, calls)

    async def close(self) -> None:
        await self.redis.aclose()
        await self.redis.connection_pool.disconnect()

    async def _run_all(self, script: Script, calls: Sequence[Call]) -> list[Any]:
        async with self.pipeline() as pipeline:
            for call in calls:
                pipeline.evalsha(script.sha, len(call.keys), *call.keys, *call.arguments)
            return list(await pipeline.execute())


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
