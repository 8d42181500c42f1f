"""A person is forgotten: the user, and every session that was merged into it.

The tombstone is written first, together with the end of the history, so that a crash in between never lets the events
reach training; then the sessions are erased, then the log is gone through in pieces. The set of sessions goes last: so
repeating completes what was broken off. Events that come after the tombstone are those of somebody who came back.
"""

from __future__ import annotations

from catalog.data.erasure import digest_of
from server.storage.client import RedisClient, Script
from server.storage.keyspace import bucket_key, bucket_of, user_key
from server.storage.merge import owner_of

__all__ = ["erase"]

ERASE_USER = Script.named("erase_user")
ERASE_EVENTS = Script.named("erase_events")
FORGET_ALIAS = Script.named("forget_alias")
PIECE = 1_000  # entries of the log looked at in one step: about a millisecond of Redis's time


async def erase(connection: RedisClient, user: str, step_seconds: float) -> int:
    """How many events were erased. Every step may take `step_seconds`; raises HistoryUnavailable."""
    erasure = _Erasure(connection, step_seconds)
    await erasure.erase(user)
    await erasure.leave_owner(user)
    return len(erasure.events)


class _Erasure:
    def __init__(self, connection: RedisClient, step_seconds: float) -> None:
        self._connection = connection
        self._seconds = step_seconds
        self._begun: set[str] = set()
        self.events: set[bytes] = set()  # ids: an event may be in the history, in the log or in both

    async def erase(self, user: str) -> None:
        self._begun.add(user)
        sessions_done: list[str] = []
        erased_at, left = await self._bury(user, sessions_done)
        while left:
            for session in left:
                await self._erase_session(user, session)
                sessions_done.append(session)
            # Again: a merge that was under way may have brought events of these sessions, or other sessions.
            erased_at, left = await self._bury(user, sessions_done)
        await self._clear_log(user, erased_at)

    async def leave_owner(self, user: str) -> None:
        """Where the erased one was itself a session that somebody has: it is nobody's any more."""
        async with self._connection.limit("erase", self._seconds):
            owner = await owner_of(self._connection, user)
            if owner is not None:
                await self._forget_alias(user, owner)
                await self._connection.redis.srem(user_key("sessions", owner), user)

    async def _erase_session(self, user: str, session: str) -> None:
        async with self._connection.limit("erase", self._seconds):
            belongs = await owner_of(self._connection, session) == user
        if belongs and session not in self._begun:
            await self.erase(session)
            async with self._connection.limit("erase", self._seconds):
                await self._forget_alias(session, user)

    async def _forget_alias(self, session: str, owner: str) -> None:
        await self._connection.run(FORGET_ALIAS, [bucket_key("aliases", bucket_of(session))], session, owner)

    async def _bury(self, user: str, sessions_done: list[str]) -> tuple[int, list[str]]:
        """When the user was erased, and which of its sessions are not yet."""
        bucket = bucket_of(user)
        keys = [user_key(kind, user) for kind in ("history", "runs", "event_ids", "sessions")]
        keys += [bucket_key("tombstones", bucket), bucket_key("log", bucket)]
        async with self._connection.limit("erase", self._seconds):
            erased_at, left, events = await self._connection.run(ERASE_USER, keys, digest_of(user), *sessions_done)
        self.events.update(events)
        return int(erased_at), [session.decode() for session in left]

    async def _clear_log(self, user: str, until: int) -> None:
        log, start = bucket_key("log", bucket_of(user)), "-"
        while True:
            async with self._connection.limit("erase", self._seconds):
                last, events = await self._connection.run(ERASE_EVENTS, [log], user, start, until, PIECE)
            self.events.update(events)
            if not last:
                return
            start = f"({last.decode()}"
