"""A session becomes a user's: the events of a visitor who then turned out to have an account.

Session and user lie in different slots of a cluster, so this takes steps, each of them atomic. They are in such an
order that whatever is broken off is completed by repeating it, and nothing is lost or doubled in between:

1. The user's set of sessions names the session: an erasure of the user from now on erases the session too.
2. The session's alias names the user. A session has one user; the first one stays.
3. What the session's history has is put into the user's, but for events that the user has already. That is refused
   where the user was erased since step 1; then all is done again.
4. What was put there is taken out of the session's history. Events that came meanwhile stay for the next time.

The log is not touched: `server/cli/export_events.py` gives a session's events to its user by the alias, and those too
that come later. Event ids of the session stay, so an event that is sent again under the session is still no news.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable
from typing import cast

from server.core.errors import SessionTaken
from server.storage.client import RedisClient, Script
from server.storage.keyspace import bucket_key, bucket_of, user_key

__all__ = ["merge", "owner_of"]

MERGE_HISTORY = Script.named("merge_history")
RELEASE_EVENTS = Script.named("release_events")
RUN_DIGITS = 10


async def merge(connection: RedisClient, user: str, session: str, bounds: tuple[int, int, int, int]) -> int:
    """How many events the user's history was given. bounds: as `record_event.lua` has them.

    Raises SessionTaken where the session belongs to another user, or the user to the session.
    """
    await _refuse_circle(connection, user, session)
    moved = -1
    while moved < 0:
        await _claim(connection, user, session)
        members, moved = await _copy(connection, user, session, bounds)
    history, runs = user_key("history", session), user_key("runs", session)
    await connection.run(RELEASE_EVENTS, [history, runs], *members)
    return moved


async def owner_of(connection: RedisClient, session: str) -> str | None:
    """The user whom the session was merged into."""
    command = connection.redis.hget(bucket_key("aliases", bucket_of(session)), session)
    owner = await cast("Awaitable[bytes | None]", command)
    return None if owner is None else owner.decode()


async def _refuse_circle(connection: RedisClient, user: str, session: str) -> None:
    owner, seen = await owner_of(connection, user), {user}
    while owner is not None and owner not in seen:
        if owner == session:
            raise SessionTaken(f"{user!r} was merged into {session!r} before: it cannot go the other way round too")
        seen.add(owner)
        owner = await owner_of(connection, owner)


async def _claim(connection: RedisClient, user: str, session: str) -> None:
    aliases, sessions = bucket_key("aliases", bucket_of(session)), user_key("sessions", user)
    async with connection.pipeline() as pipeline:
        pipeline.sadd(sessions, session)
        pipeline.hsetnx(aliases, session, user)
        pipeline.hget(aliases, session)
        _, _, owner = await pipeline.execute()
    if owner is None:  # an erasure came in between
        await _claim(connection, user, session)
    elif owner != user.encode():
        await connection.redis.srem(sessions, session)
        raise SessionTaken(
            f"the session {session!r} belongs to another user: start a new session id whenever somebody signs in or out"
        )


async def _copy(
    connection: RedisClient, user: str, session: str, bounds: tuple[int, int, int, int]
) -> tuple[list[bytes], int]:
    """The members of the session's history that the user has now, and how many of them are new; -1 if refused."""
    async with connection.pipeline() as pipeline:
        pipeline.zrange(user_key("history", session), 0, -1, withscores=True)
        pipeline.zrange(user_key("event_ids", session), 0, -1, withscores=True)
        events, event_ids = await pipeline.execute()
    members = [member for member, _ in events]
    keys = [user_key(kind, user) for kind in ("history", "runs", "event_ids", "sessions")]
    visits = [part for member, at in events for part in (int(at), member[RUN_DIGITS:])]
    ids = [part for event_id, at in event_ids for part in (event_id, int(at))]
    now = time.time_ns() // 1_000_000
    moved = await connection.run(MERGE_HISTORY, keys, session, now, *bounds, len(events), *visits, *ids)
    return members, int(moved)
