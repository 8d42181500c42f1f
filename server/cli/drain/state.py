"""What a drained folder says of itself, in `_drain.json`: up to where each log is in its parts, and the last write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from catalog.drained import STATE
from server.cli.export_events import Row
from server.core.errors import StartupError
from server.storage.keyspace import StreamPlace, bucket_of

__all__ = ["BEGINNING", "Former", "State", "read_state"]

BEGINNING = "0-0"
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Former:
    """What was in the parts when the users were moved to another number of buckets, which copies the log.

    places: by the buckets of before. events: user and event id of those that are in the parts and came in the very
    millisecond of their bucket's place, since the copy may count them otherwise within it.
    """

    buckets: int
    places: tuple[str, ...]
    events: frozenset[tuple[str, str]]

    def has(self, row: Row) -> bool:
        """Whether an event of the copied log is in the parts."""
        moment = StreamPlace.of(self.places[bucket_of(row.user_id, self.buckets)]).moment
        return row.recorded_at < moment or (row.recorded_at == moment and (row.user_id, row.event_id) in self.events)

    @property
    def newest(self) -> int:
        """The moment after which no event can be in the parts, Unix ms."""
        return max(StreamPlace.of(place).moment for place in self.places)


@dataclass(frozen=True, slots=True)
class State:
    """A new one takes the place of the file's with each write.

    namespace, buckets, moves: of the logs; moves counts how often `gemserve buckets` has moved the users.
    places: by bucket, the entry up to which the log is in the parts.
    added: by bucket, how many entries the log had ever had at that place; None where nobody knows.
    former: of moves from which something may be left to be drained.
    number: of the last write.
    parts: what it has made, relative to the folder. removed: in whose place.
    erased: digests of users whose events are still to be taken out of the parts.
    lost: events, at most, that the log had no more when they were to be drained.
    """

    namespace: str | None
    buckets: int
    moves: int
    places: tuple[str, ...]
    added: tuple[int | None, ...]
    former: tuple[Former, ...] = ()
    number: int = 0
    parts: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    erased: frozenset[str] = frozenset()
    lost: int = 0

    @classmethod
    def new(cls, namespace: str | None, buckets: int, moves: int) -> State:
        return cls(namespace, buckets, moves, (BEGINNING,) * buckets, (None,) * buckets)

    def moved(self, buckets: int, moves: int, events: frozenset[tuple[str, str]]) -> State:
        """After a move of the users. events: as `Former` has them."""
        begin = min(StreamPlace.of(place).moment for place in self.places)
        place = StreamPlace(begin - 1, 2**64 - 1).stream_id if begin else BEGINNING
        former = (*self.former, Former(self.buckets, self.places, events))
        return replace(
            self, buckets=buckets, moves=moves, places=(place,) * buckets, added=(None,) * buckets, former=former
        )

    def as_json(self) -> bytes:
        sets = {"erased": sorted(self.erased), "former": [_former_as_json(one) for one in self.former]}
        return orjson.dumps({"format": FORMAT} | asdict(self) | sets, option=orjson.OPT_INDENT_2) + b"\n"


def read_state(root: Path) -> State | None:
    """None where the folder has none. Raises StartupError for a damaged one, or that of a later release."""
    try:
        text = (root / STATE).read_bytes()
    except FileNotFoundError:
        return None
    try:
        found = orjson.loads(text)
        if found.pop("format") != FORMAT:
            raise StartupError(f"{root / STATE} is of another release: drain with that one, or to another folder")
        former = tuple(_former_of(one) for one in found.pop("former"))
        erased, lists = frozenset(found.pop("erased")), ("places", "added", "parts", "removed")
        return State(**found | {name: tuple(found[name]) for name in lists}, former=former, erased=erased)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StartupError(f"{root / STATE} is damaged ({error!r}): put it back, or drain to another folder") from error


def _former_as_json(former: Former) -> Mapping[str, Any]:
    return asdict(former) | {"events": sorted(former.events)}


def _former_of(found: Mapping[str, Any]) -> Former:
    events: Sequence[Sequence[str]] = found["events"]
    return Former(found["buckets"], tuple(found["places"]), frozenset((user, event) for user, event in events))
