"""A client of Redis: each operation has a time limit and one kind of error, and scripts are loaded where missing."""

from __future__ import annotations

import asyncio
import hashlib
import time
from ast import literal_eval
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from importlib import resources
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.exceptions import (
    BusyLoadingError,
    ClusterDownError,
    MasterDownError,
    MovedError,
    NoScriptError,
    ReadOnlyError,
    RedisError,
)

from server.core.errors import HistoryUnavailable
from server.core.metrics import HISTORY_SECONDS, REDIS_ERRORS
from server.core.settings import StorageSettings
from server.storage.keyspace import KEYS, Keyspace
from server.storage.primary import make_pool

__all__ = ["Call", "RedisClient", "Script"]

WRONG_SERVER = (ReadOnlyError, MasterDownError, BusyLoadingError, MovedError, ClusterDownError)
"""A demoted server says MOVED where it is one of a cluster, which a name for its primary leads to."""
IN_SCRIPTS = ("-READONLY ", "-MASTERDOWN ", "-LOADING ", "-MOVED ", "-CLUSTERDOWN ")  # as Redis 6 quotes them
CUT_OFF = "NOREPLICAS "
"""A primary says so that lost its replicas, and another may have taken its place."""
CLUSTER = "this Redis is a node of a cluster: give the address of a Redis without cluster mode, or of a proxy before it"
STEPS = 10  # of a time limit: a busy event loop looks at least so often for an answer before it gives Redis up


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua file of this package. All keys of a call must lie in one slot of a cluster."""

    text: str
    sha: str

    @classmethod
    def named(cls, name: str) -> Script:
        text = resources.files("server.storage").joinpath("scripts", f"{name}.lua").read_text(encoding="utf-8")
        return cls(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


@dataclass(frozen=True, slots=True)
class Call:
    """Keys and arguments of one run of a script."""

    keys: Sequence[str]
    arguments: Sequence[str | bytes | int | float]


class RedisClient:
    """A pool of connections, made when they are first needed, and again by itself after Redis was away.

    Where the server at the other end says that it is not, or not yet, the one that takes commands (READONLY,
    MASTERDOWN, LOADING, NOREPLICAS; of a cluster MOVED, CLUSTERDOWN), the connections are given up: its name may lead
    to another server by now.

    Operations that must not wait for each other, such as reads and slow writes, take a client each.
    """

    def __init__(
        self, url: str, connections: int, beside: Sequence[RedisClient] = (), *, keys: Keyspace = KEYS
    ) -> None:
        """
        url: `redis://`, `rediss://`, `unix://` or, with Sentinels, `redis+sentinel://`, `rediss+sentinel://`.
        connections: at most so many at a time; other operations wait for one to become free.
        keys: of the catalog whose client it is.
        beside: clients of the same URL, which lose their connections when this one finds the wrong server: a former
            primary would go on answering their reads.
        """
        self.keys = keys
        self._beside = tuple(beside)
        self._free = asyncio.Semaphore(connections)
        self._answered = 0.0
        self._pool = make_pool(url, connections)  # `limit` is the only clock
        self.redis = Redis.from_pool(self._pool)

    @classmethod
    def of(cls, settings: StorageSettings, connections: int, beside: Sequence[RedisClient] = ()) -> RedisClient:
        """A client of a server's Redis and catalog."""
        return cls(settings.url, connections, beside, keys=Keyspace(settings.namespace))

    @asynccontextmanager
    async def limit(self, operation: str, seconds: float) -> AsyncIterator[None]:
        """Gives an operation a connection and `seconds`, in which waiting for the connection counts, and measures it.

        Raises HistoryUnavailable when they are over, and for whatever Redis raises.
        """
        began, connected = time.monotonic(), False
        with HISTORY_SECONDS.labels(operation).time():
            try:
                async with _timeout(seconds), self._free:
                    connected = True
                    yield
                self._answered = time.monotonic()
            except TimeoutError as error:
                REDIS_ERRORS.labels(operation).inc()
                if self._answered < began:
                    # Not one answer meanwhile: the network may have forgotten the idle connections too, and each of
                    # them would cost somebody as long again.
                    await self._pool.drop_idle()
                what = "Redis did not answer" if connected else "no connection to Redis became free"
                raise HistoryUnavailable(f"{what} within {seconds:g} s") from error
            except (RedisError, OSError) as error:
                REDIS_ERRORS.labels(operation).inc()
                if _is_wrong_server(error):
                    await self.reconnect()
                raise HistoryUnavailable(f"Redis failed: {_reason(error)}") from error

    def pipeline(self) -> Pipeline:
        """Commands of one round trip; not a transaction, so their keys may lie in different slots."""
        return self.redis.pipeline(transaction=False)

    async def run(self, script: Script, keys: Sequence[str], *arguments: str | bytes | int | float) -> Any:
        """What the script returns; Redis is given its text again when it has forgotten it."""
        return (await self.run_all(script, [Call(keys, arguments)]))[0]

    async def run_all(self, script: Script, calls: Sequence[Call]) -> list[Any]:
        """Every call atomically, all in one round trip. If it raises, any of them may have been run.

        Once more on a new connection where the server was the wrong one, which has then run none of them.
        """
        try:
            return await self._run_on_right_server(script, calls)
        except NoScriptError:
            await self.redis.script_load(script.text)
            return await self._run_all(script, calls)

    async def _run_on_right_server(self, script: Script, calls: Sequence[Call]) -> list[Any]:
        try:
            return await self._run_all(script, calls)
        except RedisError as error:
            if not _is_wrong_server(error):
                raise
        await self.reconnect()
        return await self._run_all(script, calls)

    async def reconnect(self) -> None:
        """Closes the connections that nobody uses, so that what comes next asks again where the server is."""
        for client in (self, *self._beside):
            await client._pool.drop_idle()

    async def close(self) -> None:
        await self.redis.aclose()
        await self._pool.aclose()

    async def _run_all(self, script: Script, calls: Sequence[Call]) -> list[Any]:
        async with self.pipeline() as pipeline:
            for call in calls:
                pipeline.evalsha(script.sha, len(call.keys), *call.keys, *call.arguments)
            return list(await pipeline.execute())


def _is_wrong_server(error: Exception) -> bool:
    return isinstance(error, WRONG_SERVER) or any(word in str(error) for word in (*IN_SCRIPTS, CUT_OFF))


def _reason(error: Exception) -> str:
    """Without the command that redis-py puts in front, whose keys name users, and without the quotes behind it."""
    _, quoted, said = str(error).rpartition(" of pipeline caused error: ")
    if quoted:
        with suppress(ValueError, SyntaxError):
            said = " ".join(map(str, literal_eval(said)))
    return f"{said} ({CLUSTER})" if isinstance(error, MovedError) else said


@asynccontextmanager
async def _timeout(seconds: float) -> AsyncIterator[None]:
    """As asyncio.timeout, but Redis is not blamed for a busy event loop.

    A busy loop comes late to its timers, and just as late to an answer that is there. So the time is counted in STEPS
    timers one after another, and one that comes late still counts as one.
    """
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None) as timeout:
        timer: asyncio.TimerHandle

        def count(steps: int) -> None:
            nonlocal timer
            if steps == STEPS:
                timeout.reschedule(loop.time())
            else:
                timer = loop.call_later(seconds / STEPS, count, steps + 1)

        count(0)
        try:
            yield
        finally:
            timer.cancel()
