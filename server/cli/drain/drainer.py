"""Reads on in the log of every bucket, and writes what is new to a drained folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, cast

import structlog
from redis.exceptions import ResponseError

from server.cli.drain.folder import DrainedFolder
from server.cli.drain.people import KnownPeople
from server.cli.drain.state import BEGINNING, State
from server.cli.export_events import Entry, Row, rows_of
from server.core import metrics
from server.core.errors import StartupError
from server.storage.keyspace import Keyspace, StreamPlace, read_keyspace
from server.storage.primary import BlockingRedis

__all__ = ["Drainer"]

PIECE = 2_000  # entries of the log in one round trip
BATCH = 100_000  # events in memory, after which they are written: about 80 MB
TIDY_EVERY = 3_600.0
TIDY_SECONDS = 30.0  # of one round; the next goes on

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Look:
    """What a log said of itself. last: its newest entry ever. added: how many it ever had; None of an old Redis.
    deleted: the newest entry that was deleted by itself, and not by the bound on the log."""

    last: str
    added: int | None
    length: int
    deleted: StreamPlace | None

    def is_before(self, place: str, added: int | None) -> bool:
        """Whether the log had come further once. added: entries that it had ever had then; None where nobody knows."""
        fewer = self.added is not None and added is not None and self.added < added
        return fewer or StreamPlace.of(self.last) < StreamPlace.of(place)


class Drainer:
    """Drains to one folder, round after round."""

    def __init__(
        self, folder: DrainedFolder, namespace: str | None, log_length: int, stopping: Callable[[], bool]
    ) -> None:
        """
        log_length: the servers' `event_log_length`, of all buckets together.
        stopping: asked between steps; a round then ends with what it has read.
        Raises StartupError where the folder is another catalog's, and EventsError for files that cannot be read.
        """
        if folder.state is not None and folder.state.namespace != namespace:
            names = [name or "the usual one" for name in (folder.state.namespace, namespace)]
            raise StartupError(
                f"{folder.root} is of the namespace {names[0]} and not of {names[1]}: name another folder"
            )
        self.written = self.lost = 0
        self.went_back = False
        self._before = 0
        self._folder, self._namespace, self._log_length, self._stopping = folder, namespace, log_length, stopping
        self._people = KnownPeople(folder)
        self._tidying: Iterator[None] | None = None
        self._tidy_at = 0.0

    def round(self, redis: BlockingRedis) -> None:
        """Drain what the logs have now. Raises WrongRedis while users are being moved, RedisError and OSError."""
        if self._folder.state is None:
            log.info("drain_begins", folder=str(self._folder.root))
        reached, keys = self._agreed(redis)
        looks = [_look(found) for found in _ask(redis, keys)]
        pending: dict[str, list[Row]] = {}
        for bucket, look in enumerate(looks):
            if self._stopping():
                break
            for rows, state in self._read(redis, keys, reached, bucket, look):
                reached = state
                pending.setdefault(keys.tag(bucket), []).extend(rows)
                if sum(map(len, pending.values())) >= BATCH:
                    reached, pending = self._write(redis, keys, reached, pending), {}
        self._write(redis, keys, reached, pending)
        if self._before:
            reason = "erased, or no more in the log when it was first drained to this folder"
            log.warning("log_began_before", at_most=self._before, reason=reason)
            self._before = 0
        metrics.DRAIN_READ.set_to_current_time()

    def tidy(self, *, whole: bool = False) -> None:
        """Join parts and take out erased users, once in a while. whole: now, and to the end."""
        if self._tidying is None:
            if not whole and time.monotonic() < self._tidy_at:
                return
            self._tidying = self._folder.tidying(self._people.people, datetime.now(UTC).date())
        until = time.monotonic() + TIDY_SECONDS
        for _ in self._tidying:
            if self._stopping() or (not whole and time.monotonic() > until):
                return
        self._tidying, self._tidy_at = None, time.monotonic() + TIDY_EVERY

    def recover(self) -> None:
        """After an error: go on from what the disk says. Raises StartupError and OSError."""
        self._tidying = None
        self._folder.recover()

    def _agreed(self, redis: BlockingRedis) -> tuple[State, Keyspace]:
        """What is drained of the buckets that there are; after a move of the users it is told of the new ones."""
        keys = read_keyspace(redis, self._namespace)
        moves = int(cast("bytes | None", redis.hget(keys.buckets_number, "moves")) or 0)
        state = self._folder.state
        if state is None:
            return State.new(self._namespace, keys.buckets, moves), keys
        if (state.buckets, state.moves) != (keys.buckets, moves):
            before = Keyspace(self._namespace, state.buckets)
            moments = enumerate(StreamPlace.of(place).moment for place in state.places)
            events = [self._folder.events_of(moment, before.tag(bucket)) for bucket, moment in moments if moment]
            log.info("buckets_changed", before=state.buckets, now=keys.buckets)
            return state.moved(keys.buckets, moves, frozenset().union(*events)), keys
        begun = min(StreamPlace.of(place).moment for place in state.places)
        return replace(state, former=tuple(one for one in state.former if one.newest >= begun)), keys

    def _read(
        self, redis: BlockingRedis, keys: Keyspace, state: State, bucket: int, look: Look | None
    ) -> Iterator[tuple[list[Row], State]]:
        """The new events of a bucket up to where it was looked at, in pieces, each with the state behind it."""
        place = began = state.places[bucket]
        known = state.added[bucket]
        if look is None and place == BEGINNING:  # has nothing yet, and has lost nothing
            if known != 0:
                yield [], _with(state, bucket, BEGINNING, 0)
            return
        if look is not None and look.added is not None and known is None and place == BEGINNING:
            self._before += look.added - look.length
        if look is None or look.is_before(place, known):
            log.error(
                "log_went_back",
                bucket=bucket,
                drained_to=place,
                reason="Redis lost the log, or was put back from an older copy: what was not drained is gone",
            )
            self.went_back = True
            place = BEGINNING if look is None else min(place, look.last, key=StreamPlace.of)
            state = _with(state, bucket, place, None)
            yield [], state
        if look is None:
            return
        while StreamPlace.of(place) < StreamPlace.of(look.last) and not self._stopping():
            found = cast("Sequence[Entry]", redis.xrange(keys.logs[bucket], f"({place}", look.last, count=PIECE))
            rows = rows_of(found)
            added = state.added[bucket]
            if added is not None:
                added += len(found)
            place = found[-1][0].decode() if len(found) == PIECE else look.last
            state = _with(state, bucket, place, added)
            if place == look.last:
                state = _with(self._checked(redis, keys, state, bucket, look, began), bucket, place, look.added)
            yield [row for row in rows if not any(former.has(row) for former in state.former)], state

    def _checked(
        self, redis: BlockingRedis, keys: Keyspace, state: State, bucket: int, look: Look, began: str
    ) -> State:
        """Tells of entries that were gone when they were to be read. began: up to where the log was drained before."""
        added = state.added[bucket]
        missing = None if look.added is None or added is None else look.added - added
        if missing == 0 or (missing is None and (look.added is not None or added is None)):
            return state
        oldest = cast("Sequence[tuple[bytes, Any]]", redis.xrange(keys.logs[bucket], count=1))
        if oldest and StreamPlace.of(oldest[0][0]) <= StreamPlace.of(began):
            return state  # the bound cuts off the oldest, and one that was drained is still there
        if missing is None:  # a Redis before 7 does not count
            log.warning("events_may_be_lost", bucket=bucket, after=began)
            return state
        told = {"bucket": bucket, "at_most": missing, "after": began}
        erased = look.deleted is not None and look.deleted > StreamPlace.of(began)
        if erased and look.length + missing < self._log_length // keys.buckets:
            log.info("erased_before_drained", **told)
            return state
        log.error(
            "events_lost",
            **told,
            certain=not erased,
            reason="the log had dropped them before they were drained: drain more often, or raise event_log_length",
        )
        metrics.DRAIN_LOST_EVENTS.inc(missing)
        self.lost += missing
        return replace(state, lost=state.lost + missing)

    def _write(self, redis: BlockingRedis, keys: Keyspace, state: State, pending: Mapping[str, Sequence[Row]]) -> State:
        """Returns the state that the folder then has."""
        if self._folder.state is None:
            self._folder.write(State.new(state.namespace, state.buckets, state.moves))
        self._people.refresh(redis, keys)
        now, people = self._folder.state, self._people.people
        assert now is not None
        state = replace(state, number=now.number, erased=now.erased, parts=now.parts, removed=now.removed)
        if state == now:
            return now
        kept = {
            tag: [row for row in rows if row.recorded_at > people.erased_at(row.user_id)]
            for tag, rows in pending.items()
        }
        self._folder.append(kept, state)
        count = sum(map(len, kept.values()))
        self.written += count
        metrics.DRAINED_EVENTS.inc(count)
        assert self._folder.state is not None
        return self._folder.state


def _with(state: State, bucket: int, place: str, added: int | None) -> State:
    places, known = list(state.places), list(state.added)
    places[bucket], known[bucket] = place, added
    return replace(state, places=tuple(places), added=tuple(known))


def _ask(redis: BlockingRedis, keys: Keyspace) -> list[Any]:
    asked = redis.pipeline(transaction=False)
    for key in keys.logs:
        asked.xinfo_stream(key)
    return asked.execute(raise_on_error=False)


def _look(found: Any) -> Look | None:
    """What a log says; None where there is none. Raises what Redis has answered otherwise."""
    if isinstance(found, ResponseError) and "no such key" in str(found):
        return None
    if isinstance(found, Exception):
        raise found
    deleted = found.get("max-deleted-entry-id")
    return Look(
        found["last-generated-id"].decode(),
        found.get("entries-added"),
        found["length"],
        None if deleted is None else StreamPlace.of(deleted),
    )
