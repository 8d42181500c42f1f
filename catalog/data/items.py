"""Items: the records that are searched and recommended.

The columns of an items file (Parquet or JSONL):

    item_id                     string, unique, required; integers are converted to strings
    title, description, brand   string or null
    categories                  list of strings
    price                       number or null
    available                   boolean; true where absent
    any other                   scalars or lists of strings, in one of the types of `catalog/data/columns/types.py`
"""

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from catalog.data.columns.names import RESERVED_NAMES
from catalog.data.row_lookup import RowLookup
from catalog.data.schema import TableSchema, conform
from catalog.data.tables import first_occurrences, read_table, write_table
from catalog.data.validation_report import ValidationReport, unmarked
from catalog.errors import ItemsError

__all__ = ["ITEMS_SCHEMA", "Items", "clean_items", "item_text", "load_items", "read_items", "write_items"]

ITEMS_SCHEMA = TableSchema(
    columns=pa.schema(
        {
            "item_id": pa.string(),
            "title": pa.string(),
            "description": pa.string(),
            "brand": pa.string(),
            "categories": pa.list_(pa.string()),
            "price": pa.float64(),
            "available": pa.bool_(),
        }
    ),
    required=frozenset({"item_id"}),
    identifiers=frozenset({"item_id"}),
    error=ItemsError,
    reserved=RESERVED_NAMES,
)

PIECE = 50_000
"""Items whose texts are Python's objects at a time."""


class Items:
    """A validated table of items, immutable. All other code refers to items by their row numbers."""

    def __init__(self, table: pa.Table, row_lookup: RowLookup | None = None) -> None:
        """A view on a table whose contents `read_items` or `clean_items` has validated.

        row_lookup: the rows of these items, if they are known already.
        Raises ItemsError if the table has no `item_id` column.
        """
        self.table: pa.Table = conform(table, ITEMS_SCHEMA, "items", trusted=True)
        if row_lookup is not None:
            self.row_lookup = row_lookup

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @property
    def ids(self) -> Sequence[str]:
        """Every `item_id`, by row."""
        return self._ids

    def row_of(self, item_id: str) -> int | None:
        """The row of an item, or None if there is no such item."""
        return self.row_lookup.row_of(item_id)

    def record(self, row: int) -> dict[str, Any]:
        """All columns of one row, as Python values. Raises IndexError outside [0, len)."""
        self._check(row)
        return {name: self.table[name][row].as_py() for name in self.table.column_names}

    def title(self, row: int) -> str:
        """The title of one row, or its id if it has none. Raises IndexError outside [0, len)."""
        self._check(row)
        return str(self.table["title"][row].as_py() or self.table["item_id"][row].as_py())

    def texts(self) -> list[str]:
        """The `item_text` of every row."""
        columns = [self.table[name].to_pylist() for name in _TEXT_COLUMNS]
        return [_text(*values) for values in zip(*columns, strict=True)]

    def pieces(self) -> Iterator["Items"]:
        """The same items, PIECE at a time, for whoever makes Python's objects of them."""
        return (Items(self.table.slice(begin, PIECE)) for begin in range(0, len(self), PIECE))

    def texts_in_pieces(self) -> Iterator[str]:
        """The same as `texts`, of which few are in memory at a time."""
        return (text for piece in self.pieces() for text in piece.texts())

    def _check(self, row: int) -> None:
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} is outside the {len(self)} items")

    @functools.cached_property
    def _ids(self) -> list[str]:
        return list(self.table["item_id"].to_pylist())

    @functools.cached_property
    def row_lookup(self) -> RowLookup:
        """Finds rows by id. It is made at the first use, which takes half a second for a million items."""
        return RowLookup.of(self._ids)


def read_items(path: Path, notes: list[str] | None = None) -> pa.Table:
    """All items of a `.parquet` or `.jsonl` file: the schema's columns, then any others.

    notes: gets what the file's columns became, where they are not kept as they stand there.
    Raises ItemsError that names file, line or row, and what to do, if any record is broken.
    """
    table, report = load_items(path)
    if notes is not None:
        notes.extend(report.notes)
    if report.faults:
        faults = "\n".join(report.fault_lines())
        raise ItemsError(
            f"{path}: {report.broken:,} of {report.read:,} items are broken\n{faults}\n"
            "Correct them, or let `gemserve import jsonl` drop them."
        )
    return table


def load_items(path: Path) -> tuple[pa.Table, ValidationReport]:
    """Read items and drop and count the broken ones. Raises ItemsError for an unusable file."""
    report = ValidationReport("items")
    return clean_items(read_table(path, ITEMS_SCHEMA, report), report), report


def write_items(table: pa.Table, path: Path) -> None:
    """Write items to a `.parquet` or `.jsonl` file. A crash leaves no partial file."""
    write_table(table, path)


def clean_items(table: pa.Table, report: ValidationReport) -> pa.Table:
    """The sound rows of a table, with the schema's columns and defaults; the first of several items with one id.

    report: counts the dropped rows; its `read` is left to the caller.
    Raises ItemsError for a missing column or one of a wrong type.
    """
    table = conform(table, ITEMS_SCHEMA, "items")
    nameless = pc.equal(pc.fill_null(table["item_id"], ""), "")
    table = report.drop(table, nameless, "missing item_id", show=("title",))
    repeated = pc.invert(first_occurrences(table["item_id"]))
    table = report.drop(table, repeated, "duplicate item_id", show=("item_id", "title"))
    price = table["price"]
    price = pc.if_else(pc.is_nan(price), pa.scalar(None, pa.float64()), price)
    table = _replace(table, "price", price)
    impossible = pc.or_(pc.less(price, 0.0), pc.is_inf(price))
    impossible = pc.fill_null(impossible, False)
    table = report.drop(table, impossible, "price below zero or infinite", show=("item_id", "price"))
    table = _replace(table, "available", pc.fill_null(table["available"], True))
    table = _replace(table, "categories", _without_nulls(table["categories"]))
    return unmarked(table)


def item_text(record: Mapping[str, Any]) -> str:
    """One line of text about an item: "title. brand. categories. description", without empty parts.

    The text of an item with none of these is its id.
    """
    return _text(*(record.get(name) for name in _TEXT_COLUMNS))


_TEXT_COLUMNS = ("item_id", "title", "brand", "categories", "description")


def _text(
    item_id: Any,
    title: str | None,
    brand: str | None,
    categories: Iterable[str] | None,
    description: str | None,
) -> str:
    parts = (title, brand, ", ".join(categories or ()), description)
    full = [" ".join(part.split()) for part in parts if part and part.strip()]
    if not full:
        return str(item_id)
    return ". ".join([*(part.removesuffix(".") for part in full[:-1]), full[-1]])


def _replace(table: pa.Table, name: str, column: Any) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, column)


def _without_nulls(column: pa.ChunkedArray) -> pa.ChunkedArray | pa.Array:
    if column.null_count == 0 and pc.list_flatten(column).null_count == 0:
        return column
    lists = [[name for name in names or () if name is not None] for names in column.to_pylist()]
    return pa.array(lists, pa.list_(pa.string()))
