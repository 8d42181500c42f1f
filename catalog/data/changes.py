"""Changes of a catalog that serves: an item is written whole or deleted, or the catalog gets further columns.

Records follow the schema of items files (`catalog/data/items.py`) and have the columns of the catalog that they enter.
Another column is refused, and one that a record leaves out is null; `available` is then true and `categories` empty.
"""

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from catalog.data.columns.json_values import from_json
from catalog.data.columns.types import COLUMN_TYPES
from catalog.data.items import ITEMS_SCHEMA, clean_items
from catalog.data.reading.id_text import id_text
from catalog.data.schema import in_words
from catalog.data.tables import typed_values
from catalog.data.validation_report import LINE, ValidationReport
from catalog.errors import ItemsError
from catalog.nearest import did_you_mean, nearest_name

__all__ = [
    "AddedColumns",
    "Change",
    "Delete",
    "Outcome",
    "Upsert",
    "last_changes",
    "records_table",
    "shortened",
]

MAX_NAMES = 10  # unknown columns that one message lists
MAX_NAME_SHOWN = 100  # characters of each


@dataclass(frozen=True, slots=True)
class Upsert:
    """Write an item: the record replaces the whole of what there was."""

    record: Mapping[str, Any]

    @property
    def item_id(self) -> Any:
        """The id as the record has it, before any check."""
        return self.record.get("item_id")


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete an item, so that it is not shown any more.

    record: the last one that was written of it before; a catalog that never had the item gives it a row and a path
        nevertheless, as in those that have had it. None where nobody wrote it.
    """

    item_id: str
    record: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class AddedColumns:
    """The columns that the catalog has beside those that it was published with: all of them, in their order.

    types: by name.
    """

    types: Mapping[str, pa.DataType]

    @property
    def item_id(self) -> str:
        """No item's, so that a store which keeps the last change of every item keeps the last of these too."""
        return ""

    @property
    def record(self) -> None:
        """No item is written."""
        return None


Change = Upsert | Delete | AddedColumns


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What a list of changes did, as ids of items, each once.

    missing: items to delete that were not in the catalog or deleted before.
    moved_N: for every leaf of the snapshot before, its new number, strictly increasing, int64; None if none moved.
    """

    inserted: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    moved_N: NDArray[np.int64] | None = None


def last_changes(changes: Iterable[Change]) -> dict[str, tuple[int, Change]]:
    """The last change to every item and its position in the list, counted from 1, by item id and in their order.

    Raises ItemsError for an id that is not a string with at least one character.
    """
    last: dict[str, tuple[int, Change]] = {}
    for place, change in enumerate(changes, start=1):
        if isinstance(change, AddedColumns):
            last[change.item_id] = place, change
            continue
        item_id = id_text(change.item_id)
        if type(item_id) is not str or not item_id:
            raise ItemsError(
                f"change {place} has the item_id {shortened(item_id)}: every record needs a string that is not empty"
            )
        last.pop(item_id, None)
        last[item_id] = place, change
    return last


def shortened(value: object) -> str:
    """As Python writes it, its beginning only: messages repeat what a client has sent."""
    return repr(value)[:MAX_NAME_SHOWN]


def records_table(records: Mapping[int, Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """A table of some records with this schema.

    records: of different items, by their position in the list of changes.
    Raises ItemsError that names every bad record and its field.
    """
    _refuse_unknown(records, schema.names)
    report = ValidationReport("items", place="change", read=len(records))
    columns = {field.name: _column(records, field, report) for field in schema}
    table = clean_items(pa.table({**columns, LINE: pa.array(records, pa.int64())}), report)
    if report.faults:
        raise ItemsError("\n".join(["the catalog is unchanged, because of these records:", *report.fault_lines()]))
    return table.cast(schema)


def _refuse_unknown(records: Mapping[int, Mapping[str, Any]], known: Sequence[str]) -> None:
    """A record may have a hundred thousand names, which one sort would keep all other threads waiting for."""
    columns = set(known)
    for place, record in records.items():
        unknown = [name for name in record if name not in columns]
        if unknown:
            named = ", ".join(_hinted(name, known) for name in heapq.nsmallest(MAX_NAMES, unknown))
            more = f" and {len(unknown) - MAX_NAMES:,} more" if len(unknown) > MAX_NAMES else ""
            raise ItemsError(
                f"change {place} (item {shortened(record['item_id'])}) has columns that this catalog does not have: "
                f"{named}{more}. Leave them out, or add them first (PATCH /schema); the catalog has: {', '.join(known)}"
            )


def _hinted(name: str, known: Sequence[str]) -> str:
    return f"{name[:MAX_NAME_SHOWN]}{did_you_mean(nearest_name(name, known))}"


def _column(records: Mapping[int, Mapping[str, Any]], field: pa.Field, report: ValidationReport) -> pa.Array:
    """One column of the records. Values of a wrong type are counted, and null."""
    # Parquet names the elements of a list differently, so the types are equal to arrow but not the same key of a dict.
    kind = next((kind for kind in COLUMN_TYPES if kind == field.type), field.type)
    values = []
    for place, record in records.items():
        value = record.get(field.name)
        try:
            values.append(_value(value, pa.field(field.name, kind)))
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            example = f"change {place}: item_id={record['item_id']!r}, {field.name}={shortened(value)}"
            report.count(f"{field.name} that is no {in_words(kind)}", 1, [example])
            values.append(None)
    return pa.array(values, kind)


def _value(value: Any, field: pa.Field) -> Any:
    """A value as `pa.array` takes it for the field. Raises one of several exceptions for a wrong type."""
    if field.type not in _JSON_TYPES:
        return from_json(value, field.type)
    array, wrong = typed_values([value], field, identifier=field.name in ITEMS_SCHEMA.identifiers)
    if wrong:
        raise TypeError
    return array[0].as_py()


_JSON_TYPES = (pa.string(), pa.bool_(), pa.list_(pa.string()))
