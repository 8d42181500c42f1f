"""The catalog that answers are checked against: which states every item was in, and when, kept without the server.

An edit takes effect at some moment between its request and its acknowledgement. While one is under way an item may be
in either state, so an answer is checked against every state that may have held while it was made.
"""

import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import methodcaller
from pathlib import Path

import pyarrow.parquet as pq

from loadtest.locust.oracle.filter_cases import FilterCase, ItemRecord

__all__ = ["Allowed", "Edit", "ExpectedCatalog", "Interval", "read_records"]


def read_records(file: Path) -> list[ItemRecord]:
    """The items of a Parquet file, as the server's JSON shows them."""
    rows = json.loads(json.dumps(pq.read_table(file).to_pylist(), default=methodcaller("isoformat")))
    return [{"id": str(row.pop("item_id")), **row, "available": row.get("available") is not False} for row in rows]


@dataclass(frozen=True, slots=True)
class Interval:
    """When a request was sent and when its answer was read, in seconds of one clock."""

    begin: float
    end: float


@dataclass(slots=True)
class Edit:
    """A state of an item, which may hold from `since` to `until`.

    record: None where the item is deleted.
    """

    item_id: str
    record: ItemRecord | None
    since: float
    until: float = math.inf


@dataclass(frozen=True, slots=True)
class Allowed:
    """An item that a query may show.

    records: its states in which it may be shown, of those that may have held.
    surely: whether nothing may have kept it away.
    """

    item_id: str
    records: Sequence[ItemRecord]
    surely: bool


class ExpectedCatalog:
    """Every state that every item was in.

    records: the items as published.
    clock: seconds; the same clock as the intervals' of requests.
    """

    def __init__(self, records: Iterable[ItemRecord], clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._published = {record["id"]: record for record in records}
        self._edits: dict[str, list[Edit]] = {}
        self._allowed: dict[str, set[str]] = {}
        self.ids = list(self._published)
        self.columns = {name: None for record in self._published.values() for name in record}

    @property
    def edited(self) -> bool:
        """Whether any item was changed."""
        return bool(self._edits)

    def published(self, item_id: str) -> ItemRecord:
        """The item's record in the served bundle."""
        return self._published[item_id]

    def begin_edit(self, item_id: str, record: ItemRecord | None) -> Edit:
        """Call before an edit is sent. Columns that the record leaves out are null, and `available` is true."""
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
        """Call when the server has acknowledged an edit: no earlier state of the item holds any more.

        An edit that was never acknowledged may take effect at any time, until a later one is acknowledged.
        """
        now = self._clock()
        for earlier in self._edits[edit.item_id]:
            if earlier is edit:
                return
            earlier.until = min(earlier.until, now)

    def states(self, item_id: str, during: Interval) -> list[ItemRecord | None]:
        """The states that may have held in the interval; an empty list for an item that never existed."""
        if item_id in self._edits:
            edits = self._edits[item_id]
            return [edit.record for edit in edits if edit.since <= during.end and edit.until >= during.begin]
        return [self._published[item_id]] if item_id in self._published else []

    def count_bounds(
        self,
        during: Interval,
        filter_case: FilterCase | None,
        *,
        excluded: set[str],
        possibly_excluded: set[str],
        candidates: Iterable[str] | None = None,
    ) -> tuple[int, int]:
        """The least and the greatest number of items that a query may show.

        excluded: items that are surely excluded.
        possibly_excluded: items that may be excluded as well.
        candidates: the only items that may be shown; None for all.
        """
        among = None if candidates is None else set(candidates)
        fixed = self._fixed(filter_case) if among is None else self._fixed(filter_case) & among
        edited = self._edits.keys() if among is None else self._edits.keys() & among
        least = len(fixed) - len(fixed & (excluded | possibly_excluded))
        most = len(fixed) - len(fixed & excluded)
        for item_id in edited:
            shown = [_may_be_shown(record, filter_case) for record in self.states(item_id, during)]
            least += all(shown) and item_id not in excluded | possibly_excluded
            most += any(shown) and item_id not in excluded
        return least, most

    def allowed(
        self,
        during: Interval,
        filter_case: FilterCase | None,
        *,
        excluded: set[str],
        possibly_excluded: set[str],
        candidates: Iterable[str] | None = None,
    ) -> list[Allowed]:
        """The items that a query may show. The parameters are those of `count_bounds`."""
        among = None if candidates is None else set(candidates)
        found = []
        for item_id in [*self._fixed(filter_case), *self._edits]:
            if item_id not in excluded and (among is None or item_id in among):
                states = self.states(item_id, during)
                records = [one for one in states if one is not None and _may_be_shown(one, filter_case)]
                surely = len(records) == len(states) and item_id not in possibly_excluded
                if records:
                    found.append(Allowed(item_id, records, surely))
        return found

    def _fixed(self, filter_case: FilterCase | None) -> set[str]:
        """Items that were never edited and may be shown."""
        key = "" if filter_case is None else filter_case.text
        if key not in self._allowed:
            self._allowed[key] = set(self._unedited(filter_case))
        return self._allowed[key]

    def _unedited(self, filter_case: FilterCase | None) -> Iterator[str]:
        for item_id, record in self._published.items():
            if item_id not in self._edits and _may_be_shown(record, filter_case):
                yield item_id


def _may_be_shown(record: ItemRecord | None, filter_case: FilterCase | None) -> bool:
    if record is None or record["available"] is False:
        return False
    return filter_case is None or filter_case.matches(record)
