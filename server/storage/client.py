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
from redis.exceptions import ConnectionError as RedisConnectionError

from server.core.errors import HistoryUnavailable, WrongRedis
from server.core.metrics import HISTORY_SECONDS, REDIS_ERRORS
from server.core.settings import StorageSettings
from server.storage.keyspace import Buckets, Keyspace, SharedKeys
from server.storage.primary import IS_CLUSTER, WrongKind, connect
from server.storage.primary.cluster import ClusterCommands, ClusterPipeline
from server.storage.primary.time_limit import time_limit

__all__ = ["Call", "RedisClient", "Script"]

WRONG_SERVER = (ReadOnlyError, MasterDownError, BusyLoadingError, MovedError, ClusterDownError)
"""A demoted server says MOVED where it is one of a cluster, which a name for its primary leads to."""
IN_SCRIPTS = ("-READONLY ", "-MASTERDOWN ", "-LOADING ", "-MOVED ", "-CLUSTERDOWN ")  # as Redis 6 quotes them
OTHERS_SECONDS = 0.05
"""For servers that have none of the keys to take a script."""
CUT_OFF = "NOREPLICAS "
"""A primary says so that lost its replicas, and another may have taken its place."""


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
        self,
        url: str,
        connections: int,
        beside: Sequence[RedisClient] = (),
        *,
        keys: SharedKeys | None = None,
        buckets: int | None = None,
    ) -> None:
        """
        url: `redis://`, `rediss://`, `unix://`; with Sentinels `redis+sentinel://`, `rediss+sentinel://`; of a cluster
            `redis+cluster://`, `rediss+cluster://`.
        connections: at most so many at a time, to each node of a cluster; other operations wait for one to become free.
        keys: of the catalog whose client it is.
        buckets: the only number of them with which it works; None takes what Redis has.
        beside: clients of the same URL, which lose their connections when this one finds the wrong server: a former
            primary would go on answering their reads.
        """
        self.keys = keys or SharedKeys()
        self._beside = tuple(beside)
        self.buckets: Buckets = beside[0].buckets if beside else Buckets(self.keys, buckets)
        self._answered = 0.0
        self.connections = connect(url, connections)  # `limit` is the only clock

    @classmethod
    def of(cls, settings: StorageSettings, connections: int, beside: Sequence[RedisClient] = ()) -> RedisClient:
        """A client of a server's Redis and catalog."""
        keys = SharedKeys(settings.namespace)
        return cls(settings.url, connections, beside, keys=keys, buckets=settings.buckets)

    @property
    def redis(self) -> Redis | ClusterCommands:
        """The commands of redis-py, one at a time."""
        return self.connections.commands

    @asynccontextmanager
    async def limit(self, operation: str, seconds: float) -> AsyncIterator[None]:
        """Gives an operation a connection and `seconds`, in which waiting for the connection counts, and measures it.

        Raises HistoryUnavailable when they are over, and for whatever Redis raises.
        """
        began, connected = time.monotonic(), False
        with HISTORY_SECONDS.labels(operation).time():
            try:
                async with time_limit(seconds), self.connections.free:
                    connected = True
                    yield
                self._answered = time.monotonic()
            except TimeoutError as error:
                REDIS_ERRORS.labels(operation).inc()
                silent = ", ".join(await self.connections.give_up(began, self._answered))
                what = "Redis did not answer" if connected else "no connection to Redis became free"
                raise HistoryUnavailable(f"{what} within {seconds:g} s{silent and f' ({silent})'}") from error
            except WrongKind as error:
                REDIS_ERRORS.labels(operation).inc()
                raise WrongRedis(str(error)) from error
            except (RedisError, OSError) as error:
                REDIS_ERRORS.labels(operation).inc()
                if _is_wrong_server(error):
                    await self.reconnect()
                raise HistoryUnavailable(f"Redis failed: {_reason(error)}") from error

    async def user_keys(self) -> Keyspace:
        """Where users are, within `limit`. Raises WrongRedis where Redis has not the number of buckets that it must."""
        return await self.buckets.keys(self.redis, self.pipeline)

    def pipeline(self) -> Pipeline | ClusterPipeline:
        """Commands of one round trip; not a transaction, so their keys may lie in different slots."""
        return self.connections.pipeline()

    async def run(self, script: Script, keys: Sequence[str], *arguments: str | bytes | int | float) -> Any:
        """What the script returns; Redis is given its text again when it has forgotten it."""
        return (await self.run_all(script, [Call(keys, arguments)]))[0]

    async def run_all(self, script: Script, calls: Sequence[Call]) -> list[Any]:
        """Every call atomically, all in one round trip. If it raises, any of them may have been run.

        Those that were not run are tried once more where the script was missing, and on a new connection where the
        server was the wrong one.
        """
        answers = await self._run_on_right_server(script, calls)
        if missing := [place for place, answer in enumerate(answers) if isinstance(answer, NoScriptError)]:
            await self._load(script, [calls[place].keys[0] for place in missing])
            again = await self._run_all(script, [calls[place] for place in missing])
            for place, answer in zip(missing, again, strict=True):
                answers[place] = answer
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers

    async def _run_on_right_server(self, script: Script, calls: Sequence[Call]) -> list[Any]:
        try:
            answers = await self._run_all(script, calls)
        except RedisError as error:
            if not _is_wrong_server(error):
                raise
            answers = [error] * len(calls)
        wrong = [place for place, answer in enumerate(answers) if _is_wrong_server(answer)]
        if wrong:
            await self.reconnect()
            again = await self._run_all(script, [calls[place] for place in wrong])
            for place, answer in zip(wrong, again, strict=True):
                answers[place] = answer
        return answers

    async def _load(self, script: Script, keys: Sequence[str]) -> None:
        """Gives the script to every server: those that have these keys, and others as far as they answer soon, since a
        slot may be moving to one of them, and one of them may hang."""

        async def load(server: Redis) -> None:
            with suppress(RedisConnectionError):  # of a node that is away
                await server.script_load(script.text)

        waited_for = await self.connections.one_for_each_server(keys)
        servers = await self.connections.servers()
        loading = {name: asyncio.create_task(load(server)) for name, server in servers.items()}
        others = [task for name, task in loading.items() if name not in waited_for]
        try:
            await asyncio.gather(*(task for name, task in loading.items() if name in waited_for))
            if others:
                await asyncio.wait(others, timeout=OTHERS_SECONDS)
        finally:
            for task in loading.values():
                task.cancel()
            await asyncio.gather(*loading.values(), return_exceptions=True)

    async def reconnect(self) -> None:
        """Closes the connections that nobody uses, so that what comes next asks again where the server is."""
        for client in (self, *self._beside):
            await client.connections.drop_idle()

    async def close(self) -> None:
        await self.connections.close()

    async def _run_all(self, script: Script, calls: Sequence[Call]) -> list[Any]:
        async with self.pipeline() as pipeline:
            for call in calls:
                pipeline.evalsha(script.sha, len(call.keys), *call.keys, *call.arguments)
            return list(await pipeline.execute(raise_on_error=False))


def _is_wrong_server(error: object) -> bool:
    if not isinstance(error, Exception):
        return False
    return isinstance(error, WRONG_SERVER) or any(word in str(error) for word in (*IN_SCRIPTS, CUT_OFF))


def _reason(error: Exception) -> str:
    """Without the command that redis-py puts in front, whose keys name users, and without the quotes behind it."""
    _, quoted, said = str(error).rpartition(" of pipeline caused error: ")
    if quoted:
        with suppress(ValueError, SyntaxError):
            said = " ".join(map(str, literal_eval(said)))
    return f"{said} ({IS_CLUSTER})" if isinstance(error, MovedError) else said
