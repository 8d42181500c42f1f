"""Erases a user, and every session that was merged into the user.

1. The tombstone is written and the history deleted, in one script. From then on no event of before is trained on,
   whatever happens to the rest. Servers that follow the log are told by a stream.
2. The sessions are erased in the same way. Then step 1 is repeated, because a merge that was under way may have brought
   more events or sessions, until no session remains.
3. The events are deleted from the log, in batches.

The set of sessions is deleted last, so repeating an erasure that was broken off completes it. Events that come after
the tombstone belong to somebody who came back, and are kept.
"""

from __future__ import annotations

from typing import Any

from catalog.data.tombstones import digest_of
from server.storage.client import RedisClient, Script
from server.storage.keyspace import ERASED_LENGTH, UserKey
from server.storage.merge import owner_of

__all__ = ["erase"]

ERASE_USER = Script.named("erase_user")
ERASE_EVENTS = Script.named("erase_events")
DELETE_ALIAS = Script.named("delete_alias")
MARKS: tuple[UserKey, ...] = ("dislikes", "shown")
BATCH = 1_000  # entries of the log that one script looks at, for about a millisecond


async def erase(client: RedisClient, user: str, step_timeout: float) -> int:
    """Returns the number of erased events.

    step_timeout: seconds for each step, waiting for a connection included.
    Raises HistoryUnavailable where a step fails or takes longer; then the erasure should be repeated.
    """
    erasure = _Erasure(client, step_timeout)
    await erasure.erase(user)
    await erasure.detach_from_owner(user)
    return len(erasure.events)


class _Erasure:
    """One erasure, with what it has done so far."""

    def __init__(self, client: RedisClient, step_timeout: float) -> None:
        self._client = client
        self._step_timeout = step_timeout
        self._begun: set[str] = set()
        self.events: set[bytes] = set()  # event ids, as an event may be in the history, in the log or in both

    async def erase(self, user: str) -> None:
        self._begun.add(user)
        sessions_done: list[str] = []
        erased_at, remaining = await self._write_tombstone(user, sessions_done)
        while remaining:
            for session in remaining:
                await self._erase_session(user, session)
                sessions_done.append(session)
            erased_at, remaining = await self._write_tombstone(user, sessions_done)
        await self._erase_from_log(user, erased_at)

    async def detach_from_owner(self, user: str) -> None:
        """Where the erased user was itself a session: it belongs to nobody from now on."""
        async with self._client.limit("erase", self._step_timeout):
            owner = await owner_of(self._client, user)
            if owner is not None:
                await self._delete_alias(user, owner)
                keys = await self._client.user_keys()
                await self._client.redis.srem(keys.user_key("sessions", owner), user)

    async def _erase_session(self, user: str, session: str) -> None:
        async with self._client.limit("erase", self._step_timeout):
            belongs = await owner_of(self._client, session) == user
        if belongs and session not in self._begun:
            await self.erase(session)
            async with self._client.limit("erase", self._step_timeout):
                await self._delete_alias(session, user)

    async def _delete_alias(self, session: str, owner: str) -> None:
        keys = await self._client.user_keys()
        aliases = keys.bucket_key("aliases", keys.bucket_of(session))
        await self._client.run(DELETE_ALIAS, [aliases], session, owner)

    async def _write_tombstone(self, user: str, sessions_done: list[str]) -> tuple[int, list[str]]:
        """Returns when the user was erased, Unix ms, and the user's sessions that remain to be erased."""
        async with self._client.limit("erase", self._step_timeout):
            known = await self._client.user_keys()
            bucket = known.bucket_of(user)
            keys = [known.user_key(kind, user) for kind in ("history", "runs", "event_ids", "sessions")]
            keys += [known.bucket_key("tombstones", bucket), known.bucket_key("log", bucket)]
            keys += [known.user_key(kind, user) for kind in MARKS]
            erased_at, remaining, events = await self._client.run(ERASE_USER, keys, digest_of(user), *sessions_done)
            told: dict[Any, Any] = {"user": digest_of(user)}
            await self._client.redis.xadd(self._client.keys.erased, told, maxlen=ERASED_LENGTH, approximate=True)
        self.events.update(events)
        return int(erased_at), [session.decode() for session in remaining]

    async def _erase_from_log(self, user: str, until: int) -> None:
        start = "-"
        while True:
            async with self._client.limit("erase", self._step_timeout):
                keys = await self._client.user_keys()
                log = keys.bucket_key("log", keys.bucket_of(user))
                last, events = await self._client.run(ERASE_EVENTS, [log], user, start, until, BATCH)
            self.events.update(events)
            if not last:
                return
            start = f"({last.decode()}"
