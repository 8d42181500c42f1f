"""What the lines of an import do to the items that there are: the changes to make, and a word for every line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from catalog.data.changes import Change, Upsert, records_table, shortened
from catalog.data.reading.id_text import id_text
from catalog.errors import ItemsError
from catalog.snapshot import Snapshot
from server.api.schemas.items import check_new_id
from server.core import errors
from server.core.errors import Problem

__all__ = ["Action", "Plan", "Row", "plan_of"]

Action = Literal["create", "upsert", "update", "emplace"]
Result = Literal["inserted", "replaced", "updated", "unchanged"]


@dataclass(frozen=True, slots=True)
class Row:
    """A line that holds an object. record: with its id, as it was sent, under `item_id`."""

    index: int
    record: Mapping[str, Any]

    @property
    def item_id(self) -> str:
        item_id = id_text(self.record.get("item_id"))
        return item_id if isinstance(item_id, str) else ""


@dataclass(slots=True)
class Plan:
    """results: by line, what becomes of it once `records` are written, by item id."""

    results: dict[int, Result | Problem] = field(default_factory=dict)
    records: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def changes(self) -> list[Change]:
        return [Upsert(record) for record in self.records.values()]


def plan_of(rows: Sequence[Row], action: Action, snapshot: Snapshot, *, check_all: bool = False) -> Plan:
    """The plan for rows that come one after the other, each to what the one before left. For threads.

    check_all: every record is checked alone, so that one which the catalog cannot take spoils no other. Otherwise only
      those are of which several are for one item, as the last of them is all that the catalog gets to see.
    """
    repeated = {item_id for item_id, times in Counter(row.item_id for row in rows).items() if times > 1}
    present = _records(snapshot, {row.item_id for row in rows})
    plan = Plan()
    for row in rows:
        try:
            before = present.get(row.item_id)
            if before is None and snapshot.items.row_of(row.item_id) is None:
                check_new_id(row.record.get("item_id"))
            result, record = _step(row, action, before, snapshot.items.table.column_names)
            if result != "unchanged":
                if check_all or row.item_id in repeated:
                    records_table({1: record}, snapshot.items.table.schema)
                present[row.item_id] = plan.records[row.item_id] = record
            plan.results[row.index] = result
        except Problem as problem:
            plan.results[row.index] = problem
        except ItemsError as error:
            plan.results[row.index] = Problem(errors.INVALID_CHANGE, str(error))
    return plan


def _step(
    row: Row, action: Action, before: dict[str, Any] | None, columns: Sequence[str]
) -> tuple[Result, dict[str, Any]]:
    """What becomes of a line, and the whole record that its item then has."""
    sent = {**row.record, "item_id": row.item_id}
    named = shortened(row.item_id)
    if before is None:
        if action == "update":
            raise Problem(errors.ITEM_NOT_FOUND, f"no item is named {named}: ids are case-sensitive")
        return "inserted", sent
    if action == "create":
        raise Problem(errors.ITEM_EXISTS, f"the item {named} is in the catalog: use action=upsert, update or emplace")
    if action == "upsert":
        after = {**dict.fromkeys(columns), **sent}
        after["available"] = True if after["available"] is None else after["available"]
        after["categories"] = [] if after["categories"] is None else after["categories"]
        return ("unchanged" if after == before else "replaced"), sent
    if sent.get("available", True) is None:
        raise Problem(errors.INVALID_CHANGE, "available: is null: give true or false, as an item is one or the other")
    after = before | sent
    return ("unchanged" if after == before else "updated"), after


def _records(snapshot: Snapshot, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The items of these that the catalog has, as JSON has them."""
    found = {item_id: snapshot.items.row_of(item_id) for item_id in ids}
    rows = [row for row in found.values() if row is not None and snapshot.present_N[row]]
    records = orjson.loads(orjson.dumps(snapshot.items.table.take(rows).to_pylist())) if rows else []
    return {record["item_id"]: record for record in records}
