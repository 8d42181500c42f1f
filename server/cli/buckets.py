"""Says in how many buckets users are, or moves them to another number:

    gemserve buckets --redis redis://127.0.0.1:6379/0
    gemserve buckets 256 --redis redis://127.0.0.1:6379/0

A bucket's users lie together in one shard of a Redis Cluster, so there must be at least as many buckets as shards. Stop
all servers and consumers before users are moved, start them again when this has ended, and take nothing back: events,
histories, aliases, tombstones, lifetimes and the order of the log stay. One that still runs refuses events meanwhile.
If it is broken off, run it again. `python -m server.cli.buckets` is the same. Read on in docs/operations.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from redis.exceptions import RedisError

from catalog.terminal_escapes import printable
from server.cli.redis_url import add_redis_argument, server_namespace, server_redis, where_redis_may_be
from server.core.errors import ServerError
from server.storage.keyspace import MAX_BUCKETS, read_keyspace
from server.storage.keyspace.move import move_users
from server.storage.primary import open_redis

__all__ = ["main"]

REDIS_SECONDS = 60.0
"""For one step: a Redis that falls silent ends the program."""


def parse(arguments: Sequence[str] | None = None, program: str = "python -m server.cli.buckets") -> argparse.Namespace:
    parser = argparse.ArgumentParser(program, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("number", nargs="?", type=int, help=f"of buckets, up to {MAX_BUCKETS}; left out: say how many")
    add_redis_argument(parser)
    options = parser.parse_args(arguments)
    if options.number is not None and not 1 <= options.number <= MAX_BUCKETS:
        parser.error(f"{options.number} buckets: give a number from 1 to {MAX_BUCKETS}")
    return options


def main(arguments: Sequence[str] | None = None, program: str = "python -m server.cli.buckets") -> int:
    """The process's exit status. program: how it is called, for its help."""
    options = parse(arguments, program)
    try:
        namespace = server_namespace(options.namespace)
        with open_redis(server_redis(options.redis), REDIS_SECONDS) as redis:
            if options.number is None:
                print(f"{read_keyspace(redis, namespace).buckets} buckets")
                return 0
            moved = move_users(redis, namespace, options.number, lambda step: print(step, flush=True))
    except (RedisError, OSError, ServerError) as error:
        print(f"gemserve buckets: {printable(error)}{where_redis_may_be(error)}", file=sys.stderr)
        return 2
    if moved.before == moved.now:
        print(f"there are {moved.now} buckets")
    else:
        what = f"{moved.keys:,} keys of users and {moved.events:,} events"
        print(f"{what} moved from {moved.before} to {moved.now} buckets")
    return 0


if __name__ == "__main__":
    sys.exit(main())
