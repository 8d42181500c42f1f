"""What items there are, and when: the catalog that answers are held to, kept without asking the server.

An edit holds from some moment between its request and its acknowledgement on. So while one is under way an item may be
in either state, and an answer is judged by every state that may have held while it was made.
"""

import json
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from operator import methodcaller
from pathlib import Path

import pyarrow.parquet as pq

from loadtest.locust.conditions import Condition, Record

__all__ = ["Edit", "Interval", "Stock", "read_records"]


def read_records(file: Path) -> list[Record]:
    """The items of a Parquet file, as JSON shows them."""
    rows = json.loads(json.dumps(pq.read_table(file).to_pylist(), default=methodcaller("isoformat")))
    return [{"id": str(row.pop("item_id")), **row, "available": row.get("available") is not False} for row in rows]


@dataclass(frozen=True, slots=True)
class Interval:
    """Of a request: when it was sent and when its answer was there, in seconds of one clock."""

    begin: float
    end: float


@dataclass(slots=True)
class Edit:
    """A state of an item: record, None where it is deleted. It may hold from `since` to `until`."""

    item_id: str
    record: Record | None
    since: float
    until: float = math.inf


class Stock:
    """Every state that every item was in."""

    def __init__(self, records: Iterable[Record], clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._published = {record["id"]: record for record in records}
        self._edits: dict[str, list[Edit]] = {}
        self._allowed: dict[str, set[str]] = {}
        self.ids = list(self._published)
        self.columns = {name: None for record in self._published.values() for name in record}

    def published(self, item_id: str) -> Record:
        return self._published[item_id]

    def begin(self, item_id: str, record: Record | None) -> Edit:
        """Called before an edit is sent. What the record leaves out is null, `available` true."""
        if record is not None:
            record = {**self.columns, "available": True, **record}
        if item_id not in self._edits:
            self._edits[item_id] = [Edit(item_id, self._published.get(item_id), -math.inf)]
            for ids in self._allowed.values():
                ids.discard(item_id)
        edit = Edit(item_id, record, self._clock())
        self._edits[item_id].append(edit)
        return edit

    def acknowledge(self, edit: Edit) -> None:
        """Called when an edit was acknowledged: what was before does not hold any more. One that was not acknowledged
        may come into effect whenever it likes, until the next one is."""
        now = self._clock()
        for earlier in self._edits[edit.item_id]:
            if earlier is edit:
                return
            earlier.until = min(earlier.until, now)

    def states(self, item_id: str, during: Interval) -> list[Record | None]:
        """Those that may have held; none for an item that nobody ever heard of."""
        if item_id in self._edits:
            edits = self._edits[item_id]
            return [edit.record for edit in edits if edit.since <= during.end and edit.until >= during.begin]
        return [self._published[item_id]] if item_id in self._published else []

    def bounds(
        self,
        during: Interval,
        condition: Condition | None,
        *,
        surely_out: set[str],
        maybe_out: set[str],
        among: Iterable[str] | None = None,
    ) -> tuple[int, int]:
        """How many items at least, and at most, may be shown.

        surely_out, maybe_out: items that are excluded, and those that may be. among: candidates, None for all.
        """
        candidates = None if among is None else set(among)
        fixed = self._fixed(condition) if candidates is None else self._fixed(condition) & candidates
        edited = self._edits.keys() if candidates is None else self._edits.keys() & candidates
        least = len(fixed) - len(fixed & (surely_out | maybe_out))
        most = len(fixed) - len(fixed & surely_out)
        for item_id in edited:
            shown = [_may_be_shown(record, condition) for record in self.states(item_id, during)]
            least += all(shown) and item_id not in surely_out | maybe_out
            most += any(shown) and item_id not in surely_out
        return least, most

    def _fixed(self, condition: Condition | None) -> set[str]:
        """Items that were never edited and may be shown."""
        key = "" if condition is None else condition.text
        if key not in self._allowed:
            self._allowed[key] = set(self._look_through(condition))
        return self._allowed[key]

    def _look_through(self, condition: Condition | None) -> Iterator[str]:
        for item_id, record in self._published.items():
            if item_id not in self._edits and _may_be_shown(record, condition):
                yield item_id


def _may_be_shown(record: Record | None, condition: Condition | None) -> bool:
    return record is not None and record["available"] is not False and (condition is None or condition.holds(record))
