"""Connections to the Redis that takes commands: each is looked at again, however well a former primary answers reads.

A connection that is taken out of a pool LOOK_SECONDS after it was made or looked at asks the server for its ROLE first,
one round trip. Where that is a replica now, the connection is made anew, so that its name is looked up again; with
Sentinels also where they name another server.
"""

from __future__ import annotations

import time
from typing import Any
from weakref import WeakKeyDictionary

from redis.asyncio.connection import AbstractConnection, Connection, ConnectionPool, SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.maint_notifications import MaintNotificationsConfig

from server.core.dependency_checks import require_members
from server.core.settings.sentinel_url import is_sentinel_url, read_sentinel_url
from server.storage.primary.address import LOOK_SECONDS, PrimaryAddress, PrimaryUnknown, is_replica

__all__ = ["Pool", "check_redis", "make_pool"]

NO_NOTIFICATIONS = MaintNotificationsConfig(enabled=False)


def check_redis() -> None:
    """Raises StartupError where the redis-py that is installed lacks what is used of it here."""
    require_members("redis", ConnectionPool, attributes=("_available_connections",))
    require_members("redis", ConnectionPool, methods={"ensure_connection": ("connection",)})
    require_members("redis", Connection, methods={"_connect": ()})


class Pool(ConnectionPool):
    """A pool of connections to one address, or to the primary that Sentinels name."""

    primary: PrimaryAddress | None = None
    _looked: WeakKeyDictionary[AbstractConnection, float]

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._looked = WeakKeyDictionary()

    @staticmethod
    def common(connections: int) -> dict[str, Any]:
        """Options of every pool.

        Its connections have no time limits: with one of its own redis-py makes a task of every command it sends. They
        are tried once more, at once: for one that Redis closed while it was idle. Writing twice is harmless.
        """
        endless = {"socket_timeout": None, "socket_connect_timeout": None}
        return {"max_connections": connections, "retry": Retry(NoBackoff(), 1), **endless}

    async def ensure_connection(self, connection: AbstractConnection) -> None:
        """Connected, and not to a server that is known to be a replica now, as far as a name or Sentinels lead on."""
        if connection.is_connected:
            await self._look(connection)
        else:
            self._looked[connection] = time.monotonic()
        await super().ensure_connection(connection)

    async def drop_idle(self) -> None:
        """Closes the connections that nobody uses; without a pause in which somebody could take one."""
        if self.primary is not None:
            self.primary.doubt()
        for connection in self._available_connections:
            await connection.disconnect(nowait=True)

    async def aclose(self) -> None:
        if self.primary is not None:
            await self.primary.close()
        await super().aclose()

    async def _look(self, connection: AbstractConnection) -> None:
        if isinstance(connection, _ToPrimary) and self.primary is not None:
            self.primary.look()
            if (connection.host, connection.port) != self.primary.known:
                await self._again(connection)
                return
        if time.monotonic() - self._looked.get(connection, 0.0) <= LOOK_SECONDS:
            return
        self._looked[connection] = time.monotonic()
        try:
            replica = await is_replica(connection)
        except (RedisConnectionError, RedisTimeoutError, OSError):
            replica = True  # closed meanwhile
        if replica is not False:
            await self._again(connection)

    async def _again(self, connection: AbstractConnection) -> None:
        await connection.disconnect(nowait=True)
        self._looked[connection] = time.monotonic()


class _ToPrimary(Connection):
    """Asks where the primary is before it connects."""

    def __init__(self, *, primary: PrimaryAddress, **options: Any) -> None:
        super().__init__(**options)
        self._primary = primary

    async def _connect(self) -> None:
        self.host, self.port = await self._primary.find()
        try:
            await super()._connect()  # type: ignore[no-untyped-call]
        except (OSError, RedisConnectionError):
            self._primary.doubt()
            raise


class _ToPrimaryWithTls(_ToPrimary, SSLConnection):
    pass


def make_pool(url: str, connections: int) -> Pool:
    """For one Redis, or the primary that Sentinels name."""
    if not is_sentinel_url(url):
        return Pool.from_url(url, **Pool.common(connections))
    found = read_sentinel_url(url)
    options: dict[str, Any] = {**Pool.common(connections), **parse_url(found.redis)}
    tls = options.pop("connection_class", None) is SSLConnection
    primary = PrimaryAddress(found)
    pool = Pool(
        connection_class=_ToPrimaryWithTls if tls else _ToPrimary,
        primary=primary,
        redis_connect_func=_greet_primary,
        maint_notifications_config=NO_NOTIFICATIONS,
        **options,
    )
    pool.primary = primary
    return pool


async def _greet_primary(connection: _ToPrimary) -> None:
    """Raises PrimaryUnknown where the server is no primary: Sentinels that just began to fail over still name it."""
    await connection.on_connect()
    if await is_replica(connection):
        connection._primary.doubt()
        raise PrimaryUnknown(
            f"{connection.host}:{connection.port}, which the Sentinels name, says that it is a replica"
        )
