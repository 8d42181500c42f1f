"""A client of Redis for programs without an event loop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from redis import Redis, RedisCluster
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode
from redis.exceptions import MovedError, RedisClusterException
from redis.retry import Retry

from server.core.settings.cluster_url import is_cluster_url, read_cluster_url
from server.core.settings.sentinel_url import is_sentinel_url, read_sentinel_url
from server.storage.primary.address import find_primary
from server.storage.primary.topology import IS_CLUSTER, WrongKind, unknown

__all__ = ["BlockingRedis", "open_redis"]

BlockingRedis = Redis | RedisCluster


@contextmanager
def open_redis(url: str, seconds: float) -> Iterator[BlockingRedis]:
    """A client whose every step is given up after `seconds`, twice.

    Raises PrimaryUnknown where Sentinels name no primary, ClusterUnknown where no node of a cluster says what it is,
    and WrongKind, which is one, where the URL is of the other kind.
    """
    try:
        with _client(url, seconds) as client:
            yield client
    except MovedError as error:
        raise WrongKind(IS_CLUSTER) from error
    except RedisClusterException as error:  # which is no RedisError
        raise unknown([cause if isinstance(cause := error.__cause__, Exception) else error]) from error


def _client(url: str, seconds: float) -> BlockingRedis:
    times = {"socket_timeout": seconds, "socket_connect_timeout": seconds, "retry": Retry(NoBackoff(), 1)}
    if is_cluster_url(url):
        cluster = read_cluster_url(url)
        hosts = [urlsplit(seed) for seed in cluster.seeds]
        nodes = [ClusterNode(host.hostname, host.port) for host in hosts]  # type: ignore[no-untyped-call]
        return RedisCluster.from_url(cluster.seeds[0], startup_nodes=nodes, **times)
    if not is_sentinel_url(url):
        return Redis.from_url(url, **times)
    found = read_sentinel_url(url)
    host, port = find_primary(found)
    client = Redis.from_url(found.redis, **times)
    client.connection_pool.connection_kwargs |= {"host": host, "port": port}
    return client
