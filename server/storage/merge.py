"""Merges a session into a user: the events of a visitor who has signed in.

Session and user lie in different slots of a Redis Cluster, so a merge takes several steps, each of them atomic. They
are in such an order that repeating a merge that was broken off completes it, and nothing is lost or doubled meanwhile:

1. The session is added to the user's set of sessions. From then on an erasure of the user erases the session too.
2. The session's alias is set to the user, unless it has one. A session belongs to one user; the first one stays.
3. The events of the session's history are copied into the user's, but for those that the user has. The copy is refused
   where the user was erased since step 1; then the merge begins again.
4. The copied events are deleted from the session's history. Events that came meanwhile stay for the next merge.

The log is left as it is: `server/cli/export_events.py` gives the session's events to the user by the alias, those that
come later too. The session keeps its event ids, so an event that is sent again under the session is ignored.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable
from typing import cast

from server.core.errors import SessionTaken
from server.storage.client import RedisClient, Script
from server.storage.keyspace import UserKey

__all__ = ["merge", "owner_of"]

MERGE_HISTORY = Script.named("merge_history")
DELETE_EVENTS = Script.named("delete_events")
USER_KEYS: tuple[UserKey, ...] = ("history", "runs", "event_ids", "dislikes", "shown", "sessions")
RUN_DIGITS = 10


async def merge(client: RedisClient, user: str, session: str, bounds: tuple[int, int, int, int]) -> int:
    """Returns the number of events that the user's history was given.

    bounds: history_length, history_ms, event_ids_length and event_ids_ms, as in `record_event.lua`.
    Raises SessionTaken where the session belongs to another user, or the user to the session.
    """
    await _refuse_circle(client, user, session)
    moved = -1
    while moved < 0:
        await _claim(client, user, session)
        members, shown, dislikes, moved = await _copy(client, user, session, bounds)
    known = await client.user_keys()
    keys = [known.user_key(kind, session) for kind in ("history", "runs", "dislikes", "shown")]
    await client.run(DELETE_EVENTS, keys, len(members), *members, len(shown), *shown, *dislikes)
    return moved


async def owner_of(client: RedisClient, session: str) -> str | None:
    """The user whom the session was merged into, or None."""
    keys = await client.user_keys()
    command = client.redis.hget(keys.bucket_key("aliases", keys.bucket_of(session)), session)
    owner = await cast("Awaitable[bytes | None]", command)
    return None if owner is None else owner.decode()


async def _refuse_circle(client: RedisClient, user: str, session: str) -> None:
    owner, seen = await owner_of(client, user), {user}
    while owner is not None and owner not in seen:
        if owner == session:
            raise SessionTaken(f"{user!r} was merged into {session!r} before: it cannot go the other way round too")
        seen.add(owner)
        owner = await owner_of(client, owner)


async def _claim(client: RedisClient, user: str, session: str) -> None:
    keys = await client.user_keys()
    aliases, sessions = keys.bucket_key("aliases", keys.bucket_of(session)), keys.user_key("sessions", user)
    await client.redis.sadd(sessions, session)  # first: an erasure of the user must find it
    async with client.pipeline() as pipeline:
        pipeline.hsetnx(aliases, session, user)
        pipeline.hget(aliases, session)
        _, owner = await pipeline.execute()
    if owner is None:  # an erasure came in between
        await _claim(client, user, session)
    elif owner != user.encode():
        await client.redis.srem(sessions, session)
        raise SessionTaken(
            f"the session {session!r} belongs to another user: start a new session id whenever somebody signs in or out"
        )


async def _copy(
    client: RedisClient, user: str, session: str, bounds: tuple[int, int, int, int]
) -> tuple[list[bytes], list[bytes], list[bytes | int], int]:
    """The members of the session's history, its impressions, and its dislikes, each an item and its time, which the
    user's have now, and the number of new events; -1 if refused."""
    known = await client.user_keys()
    async with client.pipeline() as pipeline:
        pipeline.zrange(known.user_key("history", session), 0, -1, withscores=True)
        pipeline.zrange(known.user_key("event_ids", session), 0, -1, withscores=True)
        pipeline.zrange(known.user_key("dislikes", session), 0, -1, withscores=True)
        pipeline.zrange(known.user_key("shown", session), 0, -1)
        events, event_ids, disliked, shown = await pipeline.execute()
    members = [member for member, _ in events]
    keys = [known.user_key(kind, user) for kind in USER_KEYS]
    visits = [part for member, at in events for part in (int(at), member[RUN_DIGITS:])]
    ids = [part for event_id, at in event_ids for part in (event_id, int(at))]
    now = time.time_ns() // 1_000_000
    dislikes = [part for item, at in disliked for part in (item, int(at))]
    given = (session, now, *bounds, len(events), *visits, len(event_ids), *ids, len(shown), *shown, *dislikes)
    return members, shown, dislikes, int(await client.run(MERGE_HISTORY, keys, *given))
