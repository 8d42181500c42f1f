"""Copies the event log into that of another number of buckets."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, TypeVar, cast

from server.storage.keyspace.keys import Keyspace
from server.storage.keyspace.stream_place import StreamPlace
from server.storage.primary import BlockingRedis

__all__ = ["AT_ONCE", "batches", "copy_log"]

AT_ONCE = 200
"""Keys or entries in a round trip."""
LOOKED_AT = 20_000
"""Entries of all logs together that are in memory at a time."""

T = TypeVar("T")
Entry = tuple[StreamPlace, dict[bytes, bytes]]


def copy_log(redis: BlockingRedis, old: Keyspace, new: Keyspace) -> int:
    """From the beginning each time, so that entries keep their order, from where the old log was set aside.

    Each new log goes on from the latest moment of all old ones: erasures count by a log's own clock. Returns how many
    entries there are. Raises RedisError.
    """
    for log in new.logs:
        redis.delete(log)
    aside = old.of_all("old_log")
    clocks = [clock for log in aside if (clock := _clock(redis, log)) is not None]
    last: dict[str, StreamPlace] = {}
    copied = 0
    pieces = max(10, LOOKED_AT // old.buckets)
    for some in batches(heapq.merge(*(_entries(redis, log, pieces) for log in aside), key=lambda entry: entry[0])):
        write = redis.pipeline(transaction=False)
        for place, fields in some:
            log = new.bucket_key("log", new.bucket_of(fields[b"user_id"].decode()))
            last[log] = max(place, last[log].next) if log in last else place
            write.xadd(log, cast("Any", fields), id=last[log].stream_id)
        write.execute()
        copied += len(some)
    for log in new.logs if clocks else []:
        moment = max([*clocks, *([last[log]] if log in last else [])]).next.stream_id
        redis.xadd(log, {"moved": ""}, id=moment)
        redis.xdel(log, moment)
    return copied


def batches(things: Iterable[T]) -> Iterator[list[T]]:
    """AT_ONCE of them at a time."""
    left = iter(things)
    while some := list(islice(left, AT_ONCE)):
        yield some


def _clock(redis: BlockingRedis, log: str) -> StreamPlace | None:
    if not redis.exists(log):
        return None
    told = cast("Mapping[str, Any]", redis.xinfo_stream(log))
    return StreamPlace.of(told["last-generated-id"])


def _entries(redis: BlockingRedis, log: str, pieces: int) -> Iterator[Entry]:
    start = "-"
    while found := cast("list[tuple[bytes, dict[bytes, bytes]]]", redis.xrange(log, start, "+", pieces)):
        yield from ((StreamPlace.of(place), fields) for place, fields in found if b"user_id" in fields)
        start = f"({found[-1][0].decode()}"
