"""Histories and the event log in Redis: a HistoryStore.

An event id names an event of its user, so a repeated request is recognised for as long as the ids are kept. An event
that comes late is sorted in by its time, and events of one moment stay in the order of their arrival.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import orjson

from catalog.data.events import EventType
from catalog.priors.live.shown import MAX_IMPRESSIONS
from server.core.errors import HistoryUnavailable
from server.core.settings import StorageSettings
from server.storage.client import Call, RedisClient, Script
from server.storage.erase_user import erase
from server.storage.keyspace import Keyspace, UserKey
from server.storage.merge import merge
from server.storage.primary import NodeAway
from server.storage.protocol import EMPTY, Deed, Event, History, Impression, PastEvent, PastEvents

__all__ = ["RedisHistory", "deeds_of", "durability_warnings"]

CHECK_SECONDS = 60
RUN_DIGITS = 10
BATCH = 100  # events in a round trip; packing a thousand at once would hold up the event loop
CONFIGURATION = ("append*", "maxmemory-policy", "cluster-enabled", "cluster-require-full-coverage")
MARKS: tuple[UserKey, ...] = ("dislikes", "shown")
READ: tuple[UserKey, ...] = ("history", *MARKS)
RECORD_EVENT = Script.named("record_event")

Scored = list[tuple[bytes, float]]
"""Members of a history with their times, oldest first."""


class RedisHistory:
    """A HistoryStore in Redis. It connects when it is first used, and again by itself after Redis was away.

    Reads have one half of the connections and writes the other, so that slow writes never hold up an answer.
    """

    def __init__(self, settings: StorageSettings) -> None:
        writers = max(1, settings.connections // 2)
        self._reads = RedisClient.of(settings, max(1, settings.connections - writers))
        self._writes = RedisClient.of(settings, writers, beside=[self._reads])
        self._right_kind = False
        self._read_timeout = settings.read_timeout
        self._write_timeout = settings.write_timeout
        self._bounds = (settings.history_length, settings.history_ms, settings.event_ids, settings.event_id_ms)
        self._log_length = settings.event_log_length

    async def read(self, user: str, session: str | None = None) -> History:
        if session is not None and session != user:
            return await self._read_both(user, session)
        async with self._reads.limit("read", self._read_timeout), self._reads.pipeline() as pipeline:
            keys = await self._reads.user_keys()
            for kind in READ:
                pipeline.zrange(keys.user_key(kind, user), 0, -1)
            return _history_of(*await pipeline.execute())

    async def append(self, events: Sequence[Event]) -> list[bool]:
        """Writes each event atomically, BATCH in a round trip. If it raises, any of them may have been written."""
        new: list[bool] = []
        async with self._writes.limit("append", self._write_timeout):
            keys = await self._writes.user_keys()
            for start in range(0, len(events), BATCH):
                now = _now()
                calls = [self._recording(keys, event, now) for event in events[start : start + BATCH]]
                new += [result == 1 for result in await self._writes.run_all(RECORD_EVENT, calls)]
        return new

    async def past_events(self, user: str, limit: int) -> PastEvents:
        async with self._reads.limit("past", self._read_timeout), self._reads.pipeline() as pipeline:
            key = (await self._reads.user_keys()).user_key("history", user)
            pipeline.zrange(key, 0, limit - 1, desc=True, withscores=True)
            pipeline.zcard(key)
            found, total = await pipeline.execute()
        return PastEvents(tuple(_past_event(member, time) for member, time in found), total)

    async def merge(self, user: str, session: str) -> int:
        async with self._writes.limit("merge", self._write_timeout):
            return await merge(self._writes, user, session, self._bounds)

    async def erase(self, user: str) -> int:
        return await erase(self._writes, user, self._write_timeout)

    async def check(self) -> None:
        """Writes on a connection of the reads, which slow writes do not hold up and a replica would go on answering.

        To every node of a cluster; those that fail stand in the message.
        """
        async with self._reads.limit("check", self._read_timeout):
            if not self._right_kind:
                await self._reads.connections.refuse_other_kind()
                self._right_kind = True
            self._reads.buckets.doubt()
            checks = (await self._reads.user_keys()).checks
            keys = await self._reads.connections.one_for_each_server(checks)
            async with self._reads.pipeline() as pipeline:
                for key in keys.values():
                    pipeline.set(key, 1, ex=CHECK_SECONDS)
                answers = await pipeline.execute(raise_on_error=False)
            _raise_failures(dict(zip(keys, answers, strict=True)))

    async def warnings(self) -> list[str]:
        found: list[str] = []
        try:
            async with self._writes.limit("check", self._write_timeout):
                for name, server in (await self._writes.connections.servers()).items():
                    configuration = await server.config_get(*CONFIGURATION)
                    found += [f"{name and f'{name}: '}{warning}" for warning in durability_warnings(configuration)]
        except HistoryUnavailable:
            pass  # managed services do not tell their configuration
        return found

    async def close(self) -> None:
        await self._reads.close()
        await self._writes.close()

    async def _read_both(self, user: str, session: str) -> History:
        async with self._reads.limit("read", self._read_timeout), self._reads.pipeline() as pipeline:
            keys = await self._reads.user_keys()
            for name in (user, session):
                pipeline.zrange(keys.user_key("history", name), 0, -1, withscores=True)
                pipeline.zrange(keys.user_key("dislikes", name), 0, -1, withscores=True)
                pipeline.zrange(keys.user_key("shown", name), 0, -1)
            of_user, disliked, shown, of_session, disliked_too, shown_too = await pipeline.execute()
        dislikes = sorted([*disliked, *disliked_too], key=lambda one: one[1])
        return _merged(of_user, of_session, dislikes, _impressions(sorted({*shown, *shown_too}, key=_place)))

    def _recording(self, known: Keyspace, event: Event, now: int) -> Call:
        user = event.user_id
        keys = [known.user_key(kind, user) for kind in ("history", "runs", "event_ids")]
        fields = (event.query or "", event.event_id, event.request_id or "")
        value = "" if event.value is None else repr(float(event.value))
        values = (user, event.item_id, event.timestamp, event.type.value, *fields, value)
        keys += [known.bucket_key("log", known.bucket_of(user))]
        keys += [known.user_key(kind, user) for kind in MARKS]
        return Call(keys, [now, *self._bounds, max(1, self._log_length // known.buckets), *values])


def durability_warnings(configuration: Mapping[str | None, str | None]) -> list[str]:
    """What in a configuration may lose acknowledged events.

    configuration: what CONFIG GET answers for CONFIGURATION.
    """
    warnings = []
    if configuration.get("appendonly") == "no":
        warnings.append("Redis has appendonly no: acknowledged events may not survive its restart; set appendonly yes")
    elif configuration.get("appendfsync") == "no":
        warnings.append("Redis has appendfsync no: a crash may lose acknowledged events; set appendfsync everysec")
    if configuration.get("maxmemory-policy", "noeviction") != "noeviction":
        warnings.append("Redis evicts keys when memory is short, histories among them; set maxmemory-policy noeviction")
    if [configuration.get(f"cluster-{name}") for name in ("enabled", "require-full-coverage")] == ["yes", "yes"]:
        warnings.append("one shard that is away stops all shards of the cluster; set cluster-require-full-coverage no")
    return warnings


def _raise_failures(answers: Mapping[str, object]) -> None:
    """answers: by server. Raises the one error there is, or one that names each server and what it says."""
    failures = {name: answer for name, answer in answers.items() if isinstance(answer, Exception)}
    if len(failures) == 1 and "" in failures:
        raise failures[""]
    if failures:
        raise NodeAway("; ".join(f"{name}: {str(error).removeprefix(f'{name}: ')}" for name, error in failures.items()))


def _now() -> int:
    return time.time_ns() // 1_000_000


def _history_of(members: Sequence[bytes], disliked: Sequence[bytes], shown: Sequence[bytes]) -> History:
    if not members and not disliked and not shown:
        return EMPTY
    return _history(_events(members), _runs(members), disliked, _impressions(shown))


def _merged(user: Scored, session: Scored, disliked: Scored, shown: Sequence[Impression]) -> History:
    """Both histories in time order, the user's first at one moment.

    An event that is in both counts once: a merge is under way, or was broken off. A dislike that is no longer in the
    one history may be newer than what is in the other.

    disliked: the items that either dislikes, by time.
    shown: what either was shown, by time; what the other took since is no longer among it.
    """
    left = _left(shown, [*user, *session])[-MAX_IMPRESSIONS:]
    if not user or not session:
        members = [member for member, _ in user or session]
        return _history(_events(members), _runs(members), [item for item, _ in disliked], left)
    again = [(_dislike(number, item), at) for number, (item, at) in enumerate(disliked)]
    scored = heapq.merge(user, session, again, key=lambda one: one[1])
    events = _events([member for member, _ in scored])
    distinct = {event[3]: event for event in events}
    runs = sum(_runs([member for member, _ in part]) for part in (user, session))
    return _history(distinct.values(), runs, [], left)


def _left(shown: Sequence[Impression], scored: Scored) -> list[Impression]:
    """The impressions of items that were not taken then or later."""
    if not shown:
        return []
    last: dict[str, float] = {}
    for (item, _, kind, *_), (_, at) in zip(_events([member for member, _ in scored]), scored, strict=True):
        if kind != EventType.DISLIKE:
            last[item] = max(at, last.get(item, 0))
    return [one for one in shown if one.timestamp > last.get(one.item_id, -1)]


def _impressions(members: Sequence[bytes]) -> list[Impression]:
    """What members of the sorted set say, in their order. Raises HistoryUnavailable for what another program wrote."""
    try:
        told = (member.decode().split(" ", 1) for member in members)
        return [Impression(item, int(at)) for at, item in told]
    except ValueError as error:
        raise HistoryUnavailable(f"impressions in Redis are not as this server writes them: {error}") from error


def _place(member: bytes) -> tuple[int, bytes]:
    """Where an impression stands in the order of time."""
    return int(member.partition(b" ")[0]), member


def _dislike(number: int, item: bytes) -> bytes:
    """As a member of a history, with a number that no event has as its id."""
    return b"0" * RUN_DIGITS + orjson.dumps([item.decode(), "", EventType.DISLIKE.value, number])


def deeds_of(members: Sequence[bytes]) -> list[Deed]:
    """What the members of a history say. Raises HistoryUnavailable for what another program wrote."""
    return _deeds(_events(members))


def _history(events: Iterable[list[Any]], runs: int, disliked: Sequence[bytes], shown: Sequence[Impression]) -> History:
    return History.of(_deeds(events), runs, [item.decode() for item in disliked], impressions=shown)


def _deeds(events: Iterable[list[Any]]) -> list[Deed]:
    return [Deed(item, query or None, kind, _value(*value)) for item, query, kind, _, *value in events]


def _value(text: str | None = None) -> float | None:
    return None if text is None else float(text)


def _runs(members: Sequence[bytes]) -> int:
    return int(max(members, default=b"0")[:RUN_DIGITS])


def _events(members: Sequence[bytes]) -> list[Any]:
    """Item, query, type, event id and perhaps the value of each member.

    Raises HistoryUnavailable for what another program wrote.
    """
    try:
        return cast("list[Any]", orjson.loads(b"[%b]" % b",".join([member[RUN_DIGITS:] for member in members])))
    except orjson.JSONDecodeError as error:
        raise HistoryUnavailable(f"a history in Redis is not as this server writes it: {error}") from error


def _past_event(member: bytes, time: float) -> PastEvent:
    ((item, query, kind, event_id, *value),) = _events([member])
    return PastEvent(item, query or None, EventType(kind), int(time), event_id, _value(*value))
