"""What a client of Redis needs of its connections, whether it is one Redis, one behind Sentinels, or a cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, Protocol

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.exceptions import ResponseError

from server.core.settings.cluster_url import is_cluster_url, read_cluster_url
from server.storage.primary.cluster import ClusterCommands, ClusterPipeline
from server.storage.primary.pool import make_pool
from server.storage.primary.topology import IS_CLUSTER, WrongKind

__all__ = ["Connections", "connect"]


class Connections(Protocol):
    """
    commands: those of redis-py, one at a time.
    free: entered by each operation while it has a connection.
    """

    @property
    def commands(self) -> Redis | ClusterCommands: ...

    @property
    def free(self) -> AbstractAsyncContextManager[Any]: ...

    def pipeline(self) -> Pipeline | ClusterPipeline:
        """Commands of one round trip to each server; not a transaction, so their keys may lie in different slots."""

    async def servers(self) -> dict[str, Redis]:
        """Every server that has keys, by its HOST:PORT; an empty name where there is one only."""

    async def one_for_each_server(self, keys: Sequence[str]) -> dict[str, str]:
        """The first of the keys that each server has, by the server's name as in `servers`."""

    async def refuse_other_kind(self) -> None:
        """Raises WrongKind where the URL says that there is one Redis, and it is one node of several, or the other way
        round."""

    async def give_up(self, began: float, answered: float) -> list[str]:
        """An operation that began then was not answered in time: closes idle connections that may be dead.

        answered: when any operation was last. Returns the servers that did not answer, where there are several.
        """

    async def drop_idle(self) -> None:
        """Closes those that nobody uses, as the server was the wrong one."""

    async def close(self) -> None: ...


class _OneServer:
    """Connections to one Redis, or to the primary that Sentinels name."""

    def __init__(self, url: str, connections: int) -> None:
        self._pool = make_pool(url, connections)
        self.commands = Redis.from_pool(self._pool)
        self.free: AbstractAsyncContextManager[Any] = asyncio.Semaphore(connections)

    def pipeline(self) -> Pipeline:
        return self.commands.pipeline(transaction=False)

    async def servers(self) -> dict[str, Redis]:
        return {"": self.commands}

    async def one_for_each_server(self, keys: Sequence[str]) -> dict[str, str]:
        return {"": keys[0]}

    async def refuse_other_kind(self) -> None:
        """A cluster of one shard is like one Redis."""
        try:
            slots: Any = await self.commands.execute_command("CLUSTER", "SLOTS")  # type: ignore[no-untyped-call]
        except ResponseError:  # none, or a user that may not ask
            return
        if len({tuple(primary[:2]) for _, _, primary, *_ in slots}) > 1:
            raise WrongKind(IS_CLUSTER)

    async def give_up(self, began: float, answered: float) -> list[str]:
        """Not one answer meanwhile: the network may have forgotten the idle connections too, and each of them would
        cost somebody as long again."""
        if answered < began:
            await self._pool.drop_idle()
        return []

    async def drop_idle(self) -> None:
        await self._pool.drop_idle()

    async def close(self) -> None:
        await self.commands.aclose()
        await self._pool.aclose()


class _Cluster:
    """Connections to the nodes of a cluster, so many to each."""

    def __init__(self, url: str, connections: int) -> None:
        self.commands = ClusterCommands(read_cluster_url(url), connections)
        self.free: AbstractAsyncContextManager[Any] = nullcontext()  # each node counts its own

    def pipeline(self) -> ClusterPipeline:
        return self.commands.pipeline()

    async def servers(self) -> dict[str, Redis]:
        return {node.name: node.redis for node in await self.commands.nodes()}

    async def one_for_each_server(self, keys: Sequence[str]) -> dict[str, str]:
        return await self.commands.one_for_each_node(keys)

    async def refuse_other_kind(self) -> None:
        await self.commands.nodes()

    async def give_up(self, began: float, answered: float) -> list[str]:
        return await self.commands.give_up(began)

    async def drop_idle(self) -> None:
        """Nothing: a node that is the wrong one says which is right."""

    async def close(self) -> None:
        await self.commands.aclose()


def connect(url: str, connections: int) -> Connections:
    """Makes them when they are first needed. connections: at most so many at a time, to each node of a cluster."""
    return (_Cluster if is_cluster_url(url) else _OneServer)(url, connections)
