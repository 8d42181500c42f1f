"""Who was merged and who was erased, as Redis has it, in the files beside the parts."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from catalog.bundle.disk import fsync
from catalog.data.tombstones import digest_of, latest_tombstones, read_tombstones, write_tombstones
from catalog.drained import TOMBSTONES, read_aliases, write_aliases
from server.cli.drain.folder import DrainedFolder
from server.cli.export_events import People, read_hash
from server.storage.keyspace import BucketKey, Keyspace
from server.storage.primary import BlockingRedis

__all__ = ["KnownPeople"]

FULL_SECONDS = 600.0
"""After which all are read again, whatever their numbers say."""
KINDS: tuple[BucketKey, ...] = ("aliases", "tombstones")


class KnownPeople:
    """The aliases and tombstones of a drained folder, which follow those in Redis.

    Those that Redis has lost are kept: tombstones always, and aliases unless the session was erased, by itself or with
    its user, which is the only reason for which one goes.
    """

    def __init__(self, folder: DrainedFolder) -> None:
        """Raises EventsError for files that cannot be read."""
        self._folder = folder
        self._tombstones = folder.root / TOMBSTONES
        there = read_tombstones(self._tombstones) if self._tombstones.exists() else {}
        self.people = People(read_aliases(folder.root), there)
        self._seen: tuple[dict[str, Any], float] = {}, 0.0

    def refresh(self, redis: BlockingRedis, keys: Keyspace) -> None:
        """Read what has changed, and write it: tombstones first. Raises RedisError and OSError."""
        seen = _numbers(redis, keys)
        if seen == self._seen[0] and time.monotonic() < self._seen[1] + FULL_SECONDS:
            return
        aliases, erased = (_hashes(redis, keys, kind, seen) for kind in KINDS)  # in this order, as an export reads them
        before = self.people
        tombstones = latest_tombstones(
            before.tombstones, *({sha: int(at) for sha, at in one.items()} for one in erased)
        )
        told = {session: user for part in aliases for session, user in part.items()}
        lost = {session: user for session, user in before.aliases.items() if session not in told}
        kept = {session: user for session, user in lost.items() if digest_of(session) not in tombstones}
        people = People(kept | told, tombstones)
        self._write(people)
        self.people, self._seen = people, (seen, time.monotonic())

    def _write(self, people: People) -> None:
        before, state = self.people, self._folder.state
        new = {sha for sha, at in people.tombstones.items() if before.tombstones.get(sha) != at}
        if new and state is not None:
            self._folder.write(replace(state, erased=state.erased | new, parts=(), removed=()))
        if new or not self._tombstones.exists():
            write_tombstones(people.tombstones, self._tombstones)
            fsync(self._tombstones)
            fsync(self._folder.root)
        if people.aliases != before.aliases:
            write_aliases(self._folder.root, people.aliases)


def _numbers(redis: BlockingRedis, keys: Keyspace) -> dict[str, Any]:
    """What differs when somebody was merged or erased: by key how many there are, and the last who was erased."""
    hashes = [key for kind in KINDS for key in keys.of_all(kind)]
    asked = redis.pipeline(transaction=False)
    for key in hashes:
        asked.hlen(key)
    return dict(zip(hashes, asked.execute(), strict=True)) | {keys.erased: redis.xrevrange(keys.erased, count=1)}


def _hashes(redis: BlockingRedis, keys: Keyspace, kind: BucketKey, numbers: dict[str, Any]) -> list[dict[str, str]]:
    return [read_hash(redis, key) for key in keys.of_all(kind) if numbers[key]]
