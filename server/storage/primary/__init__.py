"""The Redis that takes commands: where it is, and connections that follow it."""

from server.storage.primary.address import PrimaryUnknown
from server.storage.primary.pool import Pool, check_redis, make_pool, open_redis

__all__ = ["Pool", "PrimaryUnknown", "check_redis", "make_pool", "open_redis"]
