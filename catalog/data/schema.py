"""Schemas of tables: the columns that a file must or may have, and the conversion of an arrow table to them.

A column of a wrong type, such as prices stored as lists, makes a table unusable and raises. Single broken records are
left to the readers, which count and drop them. Validation libraries such as pandera check data frames, while these
tables stay in arrow, so this is own code.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from catalog.data.columns.types import (
    UnusableColumn,
    as_doubles,
    is_bytes,
    is_list_of_text,
    is_text,
    text_of_bytes,
    to_column_type,
    unwrapped,
)
from catalog.data.reading.id_text import MAX_EXACT
from catalog.data.reading.timestamps import moments, of_seconds
from catalog.data.validation_report import LINE, MARK, ValidationReport, as_in_file, shown
from catalog.errors import CatalogError

__all__ = ["TableSchema", "conform", "in_words", "refuse_repeated"]


@dataclass(frozen=True, slots=True)
class TableSchema:
    """The columns of a kind of table.

    columns: name and type of every column.
    required: names of the columns that must be there.
    identifiers: names of string columns that may hold integers, which are converted to strings.
    error: the exception for a table that does not fit.
    optional: name and type of columns that stay absent where a table lacks them.
    times: names of columns of Unix milliseconds that may hold ISO 8601 text with a zone, which is converted.
    reserved: names that further columns cannot keep (`catalog.data.columns.names`).
    """

    columns: pa.Schema
    required: frozenset[str]
    identifiers: frozenset[str]
    error: type[CatalogError]
    optional: pa.Schema = field(default_factory=lambda: pa.schema([]))
    times: frozenset[str] = frozenset()
    reserved: tuple[str, ...] = ()


def conform(
    table: pa.Table, schema: TableSchema, where: str, report: ValidationReport | None = None, *, trusted: bool = False
) -> pa.Table:
    """The table with the schema's columns first, in their types and null where absent, and then its other columns.

    where: the file, for messages.
    report: gets a note for every column that is not kept as it stands in the file.
    trusted: whether it was read by this before, so that further columns are as they should be.
    Raises the schema's error for a missing required column, or one that cannot be converted (`columns.types`).
    """
    refuse_repeated(table.column_names, schema, where)
    _refuse_missing(table.column_names, schema, where)
    converter = _Converter(table, schema, where, report, trusted)
    columns: dict[str, Any] = {}
    for expected in schema.columns:
        if expected.name not in table.column_names:
            columns[expected.name] = pa.nulls(len(table), expected.type)
        else:
            columns |= converter.expected(expected)
    for name in table.column_names:
        if name in schema.optional.names:
            columns |= converter.expected(schema.optional.field(name))
        elif name not in columns:
            columns[name] = table[name] if name.startswith(MARK) else converter.further(name)
    return pa.table(columns)


def refuse_repeated(names: Sequence[str], schema: TableSchema, where: str) -> None:
    """Raises the schema's error where several columns have one name, of which nobody knows which is meant."""
    repeated = [name for name, times in Counter(names).items() if times > 1]
    if repeated:
        raise schema.error(f"{where}: several columns are named {repeated[0]!r}: rename all but one, or remove them")


def _refuse_missing(names: Sequence[str], schema: TableSchema, where: str) -> None:
    missing = sorted(schema.required - set(names))
    if missing:
        have = ", ".join(name for name in names if not name.startswith(MARK)) or "none"
        raise schema.error(f"{where}: the column {missing[0]!r} is missing; the columns are: {have}")


@dataclass(frozen=True, slots=True)
class _Converter:
    """Converts the columns of one table, and names the column and the row of whatever cannot be."""

    table: pa.Table
    schema: TableSchema
    where: str
    report: ValidationReport | None
    trusted: bool

    def expected(self, field: pa.Field) -> dict[str, pa.ChunkedArray]:
        """The column of a field of the schema in its type; and where times of the file were lost, as text in it."""
        column, name = self.table[field.name], field.name
        if column.type == field.type:
            return {name: column}
        plain = self._guarded(name, lambda: unwrapped(column))
        if _is_all_null(plain):
            return {name: pa.chunked_array([pa.nulls(len(plain), field.type)])}
        self._check_convertible(column.type, plain.type, field)
        if is_bytes(plain.type):
            plain = self._text_of_bytes(plain, name)
        if pa.types.is_floating(plain.type):
            plain = as_doubles(plain)
        if name in self.schema.times:
            return self._with_lost(name, plain, self._guarded(name, lambda: self._unix_ms(plain)))
        if name in self.schema.identifiers and _may_have_fractions(plain.type):
            return self._with_lost(name, plain, _ids(plain))
        if plain.type != field.type:
            plain = self._of_few_types(plain, name, told=False)
        return {name: self._guarded(name, lambda: plain.cast(field.type))}

    def _with_lost(self, name: str, column: pa.ChunkedArray, converted: pa.ChunkedArray) -> dict[str, pa.ChunkedArray]:
        """The converted column; and where values of the file were lost, these as text."""
        lost = pc.and_(pc.is_null(converted), pc.is_valid(column))
        return {name: converted} | ({MARK + name: as_in_file(column, lost)} if pc.any(lost).as_py() else {})

    def _unix_ms(self, column: pa.ChunkedArray) -> pa.ChunkedArray:
        """Times as int64; what names no moment or no whole number becomes null, which is a fault of its row."""
        notes = self.report.notes if self.report is not None else []
        if is_text(column.type):
            values = moments(column.to_pylist(), notes)
            column = pa.chunked_array([pa.array([_whole(value) for value in values], pa.int64())])
        elif _may_have_fractions(column.type):
            seconds = column.cast(pa.float64(), safe=False).to_pylist()
            if (times := of_seconds(seconds, notes)) != seconds:
                column = pa.chunked_array([pa.array([_whole(value) for value in times], pa.int64())])
        return _unix_ms(column)

    def further(self, name: str) -> pa.ChunkedArray:
        """A column that the schema does not have."""
        return self._of_few_types(self.table[name], name, told=True)

    def _of_few_types(self, column: pa.ChunkedArray, name: str, *, told: bool) -> pa.ChunkedArray:
        if self.trusted and not _is_wrapped(column.type):
            return column
        try:
            converted, note = self._guarded(name, lambda: to_column_type(column))
        except UnusableColumn as fault:
            raise self._error(name, fault, column) from fault
        if note is not None and told and self.report is not None:
            self.report.notes.append(f"the column {name!r} is {column.type}: {note}")
        result: pa.ChunkedArray = converted
        return result

    def _check_convertible(self, have: pa.DataType, plain: pa.DataType, field: pa.Field) -> None:
        if _convertible(plain, field, self.schema):
            return
        raise self.schema.error(f"{self.where}: the column {field.name!r} is {have}, it must be {in_words(field.type)}")

    def _text_of_bytes(self, column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
        try:
            return text_of_bytes(column)
        except pa.ArrowInvalid as fault:
            kind = f"{column.type} with bytes that are no UTF-8"
            raise self.schema.error(f"{self.where}: the column {name!r} is {kind}: store it as text") from fault

    def _guarded(self, name: str, convert: Callable[[], Any]) -> Any:
        try:
            return convert()
        except (pa.ArrowException, OverflowError) as fault:
            raise self.schema.error(f"{self.where}: the column {name!r}: {fault}") from fault

    def _error(self, name: str, fault: UnusableColumn, column: pa.ChunkedArray) -> CatalogError:
        if fault.row is None:
            return self.schema.error(f"{self.where}: the column {name!r} {fault}")
        line = self.table[LINE][fault.row].as_py() if LINE in self.table.column_names else fault.row + 1
        place = self.report.place if self.report is not None else "row"
        value = shown(column.slice(fault.row, 1))
        return self.schema.error(
            f"{self.where}: the column {name!r} ({column.type}): {value} in {place} {line} {fault}"
        )


def _unix_ms(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Times as int64; what names no moment or no whole number becomes null, which is a fault of its row."""
    if pa.types.is_decimal(column.type):
        column, _ = to_column_type(column)
    if pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("ms"))
    kind = column.type
    if pa.types.is_timestamp(kind) and kind.unit != "s":
        return column.cast(pa.timestamp("ms", kind.tz), safe=False).cast(pa.int64())
    if pa.types.is_timestamp(kind):
        seconds = column.cast(pa.int64())
        return pc.multiply(_only(seconds, pc.is_in(pc.shift_right(seconds, 52), pa.array([-1, 0]))), 1000)
    if pa.types.is_floating(kind):
        whole = pc.and_(pc.is_finite(column), pc.equal(column, pc.floor(column)))
        return _only(column, pc.and_(whole, pc.less(pc.abs(column), 2.0**62))).cast(pa.int64())
    if pa.types.is_uint64(kind):
        return _only(column, pc.less(column, pa.scalar(2**63, kind))).cast(pa.int64())
    return column.cast(pa.int64())


def _only(column: pa.ChunkedArray, kept: pa.ChunkedArray) -> pa.ChunkedArray:
    """Null where a value is not to be kept."""
    return pc.if_else(kept, column, pa.scalar(None, column.type))


def _whole(value: Any) -> int | None:
    """The whole number that a time is, if it fits an int64."""
    number = int(value) if type(value) in {int, float} and value == value // 1 else None
    return number if number is not None and abs(number) < 2**63 else None


def _may_have_fractions(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or (pa.types.is_decimal(kind) and kind.scale > 0))


def _ids(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Whole numbers that a column with gaps made floats, or decimals with places, as text; null for any other."""
    if pa.types.is_decimal(column.type):
        values = column.to_pylist()
        digits = [None if value is None or value != int(value) else str(int(value)) for value in values]
        return pa.chunked_array([pa.array(digits, pa.string())])
    exact = pc.and_(pc.equal(column, pc.floor(column)), pc.less(pc.abs(column), MAX_EXACT))
    return _only(column, exact).cast(pa.int64()).cast(pa.string())


def _is_all_null(column: pa.ChunkedArray) -> bool:
    """Whether there is no value in it; pandas makes a column without values one of NaN."""
    if pa.types.is_floating(column.type):
        return bool(pc.all(pc.is_null(column, nan_is_null=True)).as_py()) and len(column) > 0
    return bool(column.null_count == len(column) > 0)


def _is_wrapped(kind: pa.DataType) -> bool:
    kinds = pa.types
    return bool(kinds.is_dictionary(kind) or kinds.is_null(kind) or (kinds.is_nested(kind) and kind != _TEXTS))


def _convertible(have: pa.DataType, expected: pa.Field, schema: TableSchema) -> bool:
    want, kinds = expected.type, pa.types
    if kinds.is_null(have) or have == want:
        return True
    whole = kinds.is_integer(have) or (kinds.is_decimal(have) and have.scale <= 0)
    if kinds.is_string(want):
        number = whole or _may_have_fractions(have)
        return is_text(have) or is_bytes(have) or (expected.name in schema.identifiers and bool(number))
    if kinds.is_floating(want):
        return bool(whole or kinds.is_floating(have) or kinds.is_decimal(have))
    if kinds.is_int64(want):
        return (
            is_text(have)
            or is_bytes(have)
            or bool(whole or _may_have_fractions(have) or kinds.is_timestamp(have))
            or (expected.name in schema.times and bool(kinds.is_date(have)))
        )
    return bool(kinds.is_list(want)) and is_list_of_text(have)


def in_words(kind: pa.DataType) -> str:
    """The name of a column type in messages, such as "list of strings"."""
    unit = pa.timestamp("us", "UTC" if kind.tz else None) if pa.types.is_timestamp(kind) else kind
    return _WORDS.get(unit, str(kind))


_TEXTS = pa.list_(pa.string())
_WORDS: Mapping[pa.DataType, str] = {
    pa.string(): "string",
    pa.bool_(): "true or false",
    pa.float64(): "number",
    pa.int64(): "whole number",
    pa.uint64(): "whole number from 0 on",
    pa.list_(pa.string()): "list of strings",
    pa.date32(): 'date, such as "2025-11-20"',
    pa.timestamp("us"): 'ISO 8601 time, such as "2025-11-20T12:00:00"',
    pa.timestamp("us", "UTC"): 'ISO 8601 time, such as "2025-11-20T12:00:00Z"',
}
