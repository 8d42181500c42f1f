"""Schemas of tables: the columns that a file must or may have, and the conversion of an arrow table to them.

A column of a wrong type, such as prices stored as lists, makes a table unusable and raises. Single broken records are
left to the readers, which count and drop them. Validation libraries such as pandera check data frames, while these
tables stay in arrow, so this is own code.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from catalog.data.timestamps import unix_ms
from catalog.data.validation_report import LINE
from catalog.errors import CatalogError

__all__ = ["TableSchema", "conform", "in_words"]


@dataclass(frozen=True, slots=True)
class TableSchema:
    """The columns of a kind of table.

    columns: name and type of every column.
    required: names of the columns that must be there.
    identifiers: names of string columns that may hold integers, which are converted to strings.
    error: the exception for a table that does not fit.
    optional: name and type of columns that stay absent where a table lacks them.
    times: names of columns of Unix milliseconds that may hold ISO 8601 text with a zone, which is converted.
    """

    columns: pa.Schema
    required: frozenset[str]
    identifiers: frozenset[str]
    error: type[CatalogError]
    optional: pa.Schema = field(default_factory=lambda: pa.schema([]))
    times: frozenset[str] = frozenset()


def conform(table: pa.Table, schema: TableSchema, where: str) -> pa.Table:
    """The table with the schema's columns first, in their types and null where absent, and then its other columns.

    where: the file, for messages.
    Raises the schema's error for a missing required column or one whose type cannot be converted.
    """
    missing = sorted(schema.required - set(table.column_names))
    if missing:
        have = ", ".join(name for name in table.column_names if name != LINE) or "none"
        raise schema.error(f"{where}: the column {missing[0]!r} is missing; the columns are: {have}")
    columns: dict[str, Any] = {}
    for expected in schema.columns:
        if expected.name not in table.column_names:
            columns[expected.name] = pa.nulls(len(table), expected.type)
        else:
            columns[expected.name] = _cast(table[expected.name], expected, schema, where)
    for name in table.column_names:
        if name in schema.optional.names:
            columns[name] = _cast(table[name], schema.optional.field(name), schema, where)
        elif name not in columns:
            columns[name] = _extra(table[name], name, schema, where)
    return pa.table(columns)


def _cast(column: pa.ChunkedArray, expected: pa.Field, schema: TableSchema, where: str) -> pa.ChunkedArray:
    have = column.type
    if pa.types.is_dictionary(have):
        column = column.cast(have.value_type)
        have = column.type
    if expected.name in schema.times and _is_text(have):
        column = _parsed_times(column)
        have = column.type
    if not _convertible(have, expected, schema):
        hint = " (integers with gaps become floats in pandas: store them as strings)"
        raise schema.error(
            f"{where}: the column {expected.name!r} is {have}, it must be {in_words(expected.type)}"
            + (hint if expected.name in schema.identifiers and pa.types.is_floating(have) else "")
        )
    if pa.types.is_timestamp(have) and pa.types.is_int64(expected.type):
        column = column.cast(pa.timestamp("ms", have.tz), safe=False)
    if pa.types.is_floating(have) and pa.types.is_int64(expected.type):
        # A fraction or a NaN becomes null here, which the readers count as a fault of its row.
        whole = pc.and_(pc.is_finite(column), pc.equal(column, pc.floor(column)))
        column = pc.if_else(pc.and_(whole, pc.less(pc.abs(column), 2.0**62)), column, None)
    try:
        return column if column.type == expected.type else column.cast(expected.type)
    except pa.ArrowInvalid as fault:
        raise schema.error(f"{where}: the column {expected.name!r}: {fault}") from fault


def _parsed_times(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Unix milliseconds; null where the text names no moment, which is a fault of its row."""

    def parsed(text: str | None) -> int | None:
        try:
            return None if text is None else unix_ms(text)
        except ValueError:
            return None

    return pa.chunked_array([pa.array(map(parsed, column.to_pylist()), pa.int64())])


def _convertible(have: pa.DataType, expected: pa.Field, schema: TableSchema) -> bool:
    want, kinds = expected.type, pa.types
    if kinds.is_null(have) or have == want:
        return True
    if kinds.is_string(want):
        return _is_text(have) or (expected.name in schema.identifiers and kinds.is_integer(have))
    if kinds.is_floating(want):
        return bool(kinds.is_integer(have) or kinds.is_floating(have) or kinds.is_decimal(have))
    if kinds.is_int64(want):
        return bool(kinds.is_integer(have) or kinds.is_floating(have) or kinds.is_timestamp(have))
    return bool(kinds.is_list(want) and _is_list_of_text(have))


def _extra(column: pa.ChunkedArray, name: str, schema: TableSchema, where: str) -> pa.ChunkedArray:
    kind = column.type
    if pa.types.is_dictionary(kind):
        return column.cast(kind.value_type)
    if pa.types.is_null(kind):
        return column.cast(pa.string())
    if _is_list_of_text(kind):
        return column.cast(pa.list_(pa.string()))
    if pa.types.is_nested(kind):
        raise schema.error(
            f"{where}: the column {name!r} is {kind}; a further column holds scalars or lists of strings: remove it"
        )
    return column


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_list_of_text(kind: pa.DataType) -> bool:
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)):
        return False
    return _is_text(kind.value_type) or bool(pa.types.is_null(kind.value_type))


def in_words(kind: pa.DataType) -> str:
    """The name of a column type in messages, such as "list of strings"."""
    return _WORDS.get(kind, str(kind))


_WORDS: Mapping[pa.DataType, str] = {
    pa.string(): "string",
    pa.bool_(): "true or false",
    pa.float64(): "number",
    pa.int64(): "whole number",
    pa.list_(pa.string()): "list of strings",
}
