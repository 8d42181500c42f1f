"""The Redis that takes commands, one or those of a cluster: where it is, and connections that follow it."""

from server.storage.primary.address import PrimaryUnknown
from server.storage.primary.blocking import BlockingRedis, open_redis
from server.storage.primary.cluster import NodeAway
from server.storage.primary.connections import Connections, connect
from server.storage.primary.pool import check_redis
from server.storage.primary.topology import IS_CLUSTER, ClusterUnknown, WrongKind

__all__ = [
    "IS_CLUSTER",
    "BlockingRedis",
    "ClusterUnknown",
    "Connections",
    "NodeAway",
    "PrimaryUnknown",
    "WrongKind",
    "check_redis",
    "connect",
    "open_redis",
]
