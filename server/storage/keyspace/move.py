"""Moves all users of a catalog to another number of buckets, without a server that runs.

Each step can be done again, so a move that was broken off is completed by repeating it:

1. The number to which users are moved (goal) is written: no server starts from then on.
2. Log, aliases and tombstones of each bucket are set aside, and a string takes their place: a server that still runs
   can record, merge and erase nothing.
3. Each key of a user is copied to the user's new bucket, with its lifetime, and then deleted.
4. Aliases and tombstones are copied. A tombstone tells its user's SHA-256 only, so it goes to any bucket.
5. The logs are merged into the new ones, in the order in which their events came, whose times stay; of two of one
   millisecond the place in it may change. Each new log goes on from the latest moment of all, as erasures count by it.
6. The number is written, and what was set aside is deleted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast, get_args
from urllib.parse import unquote

from redis.exceptions import ResponseError

from server.core.errors import WrongRedis
from server.storage.keyspace.keys import BUCKET_KEYS, BUCKETS, Keyspace, SharedKeys, UserKey
from server.storage.keyspace.log_copy import AT_ONCE, batches, copy_log
from server.storage.primary import BlockingRedis

__all__ = ["Moved", "move_users"]

USER_KEY = re.compile(rf"\}}:(?P<kind>{'|'.join(get_args(UserKey))}):(?P<user>[^:]*)$", re.ASCII)
EXISTS = "BUSYKEY"

SET_ASIDE = """
if redis.call('TYPE', KEYS[1]).ok ~= 'string' then
  if redis.call('EXISTS', KEYS[1]) == 1 then
    redis.call('RENAME', KEYS[1], KEYS[2])
  end
  redis.call('SET', KEYS[1], ARGV[1])
end
"""


@dataclass(frozen=True, slots=True)
class Moved:
    """before, now: numbers of buckets; equal where nothing had to be done. keys: of users. events: of the log."""

    before: int
    now: int
    keys: int = 0
    events: int = 0


def move_users(
    redis: BlockingRedis, namespace: str | None, goal: int, tell: Callable[[str], None] = lambda _: None
) -> Moved:
    """tell: is told each step. Raises WrongRedis where a move to another number was begun, and RedisError."""
    key = SharedKeys(namespace).buckets_number
    found = cast("list[Any]", redis.hmget(key, ["number", "goal", "former", "moves"]))
    number, begun, former, moves = (None if value is None else int(value) for value in found)
    number = number or BUCKETS
    if begun not in {None, goal, number}:
        raise WrongRedis(f"a move to {begun} buckets was begun: finish it first, by `gemserve buckets {begun}`")
    moved = Moved(number, number)
    if number != goal:
        if former is not None:
            _delete_set_aside(redis, Keyspace(namespace, former))
        redis.hset(key, mapping={"number": str(number), "goal": str(goal)})
        moved = _Move(redis, Keyspace(namespace, number), Keyspace(namespace, goal), tell).run()
        redis.hset(key, mapping={"number": str(goal), "former": str(number), "moves": str((moves or 0) + 1)})
        former = number
    redis.hdel(key, "goal")
    if former is not None:
        tell("deleting what was set aside")
        _delete_set_aside(redis, Keyspace(namespace, former))
        redis.hdel(key, "former")
    return moved


class _Move:
    """One move."""

    def __init__(self, redis: BlockingRedis, old: Keyspace, new: Keyspace, tell: Callable[[str], None]) -> None:
        self._redis, self._old, self._new, self._tell = redis, old, new, tell

    def run(self) -> Moved:
        self._tell(f"setting aside the logs of {self._old.buckets} buckets")
        self._set_aside()
        self._tell("moving the keys of users")
        keys = self._move_user_keys()
        self._tell("moving aliases, tombstones and the log")
        self._copy_aliases()
        self._copy_tombstones()
        return Moved(self._old.buckets, self._new.buckets, keys, copy_log(self._redis, self._old, self._new))

    def _set_aside(self) -> None:
        told = f"users were moved to {self._new.buckets} buckets: start the server again"
        for kind, aside in BUCKET_KEYS.items():
            for key, other in zip(self._old.of_all(kind), self._old.of_all(aside), strict=True):
                self._redis.eval(SET_ASIDE, 2, key, other, told)
            for key in self._new.of_all(kind):  # such a string of an earlier move away from this number
                if self._redis.type(key) == b"string":
                    self._redis.delete(key)

    def _move_user_keys(self) -> int:
        """Until a look at all keys finds none; one that was moved already may be found once more."""
        total = 0
        while True:
            found = 0
            names = self._redis.scan_iter(match=self._old.pattern, count=1_000)
            for some in batches(name.decode() for name in names):
                found += self._move_some([(name, own) for name in some if (own := USER_KEY.search(name))])
            total += found
            if not found:
                return total

    def _move_some(self, names: Sequence[tuple[str, re.Match[str]]]) -> int:
        if not names:
            return 0
        read = self._redis.pipeline(transaction=False)
        for name, _ in names:
            read.dump(name)
            read.pttl(name)
        answers = read.execute()
        there = [
            (name, self._new.user_key(cast("UserKey", own["kind"]), unquote(own["user"])), value, max(0, left))
            for (name, own), value, left in zip(names, answers[::2], answers[1::2], strict=True)
            if value is not None
        ]
        write = self._redis.pipeline(transaction=False)
        for _, new, value, left in there:
            write.restore(new, left, value)
        for (old, new, *_), answer in zip(there, write.execute(raise_on_error=False), strict=True):
            if isinstance(answer, ResponseError) and EXISTS in str(answer):
                self._join(old, new)
            elif isinstance(answer, Exception):
                raise answer
        delete = self._redis.pipeline(transaction=False)
        for old, *_ in there:
            delete.delete(old)
        delete.execute()
        return len(there)

    def _join(self, old: str, new: str) -> None:
        """What is there already stays: it was copied before, or is newer."""
        kind = self._redis.type(old)
        if kind == b"zset":
            self._redis.zadd(new, dict(cast("Any", self._redis.zrange(old, 0, -1, withscores=True))), nx=True)
        elif kind == b"set":
            self._redis.sadd(new, *cast("set[bytes]", self._redis.smembers(old)))

    def _copy_aliases(self) -> None:
        for key in self._old.of_all("old_aliases"):
            for session, user in self._redis.hscan_iter(key, count=AT_ONCE):
                there = self._new.bucket_key("aliases", self._new.bucket_of(session.decode()))
                self._redis.hsetnx(there, session, user)

    def _copy_tombstones(self) -> None:
        for bucket, key in enumerate(self._old.of_all("old_tombstones")):
            there = self._new.bucket_key("tombstones", bucket % self._new.buckets)
            for user, at in self._redis.hscan_iter(key, count=AT_ONCE):
                known = cast("bytes | None", self._redis.hget(there, user))
                if known is None or int(known) < int(at):
                    self._redis.hset(there, user, at)


def _delete_set_aside(redis: BlockingRedis, former: Keyspace) -> None:
    for aside in BUCKET_KEYS.values():
        for key in former.of_all(aside):
            redis.delete(key)
