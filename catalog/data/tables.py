"""Reads Parquet and JSON files as arrow tables, and writes them so that a crash leaves no partial file.

What reads JSON is imported where it is used, so that benchmarks on a borrowed GPU, which read none, need not install
it.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from catalog.data.columns.json_values import is_double
from catalog.data.columns.long_text import encoded
from catalog.data.columns.names import kept_name
from catalog.data.reading.id_text import id_text
from catalog.data.reading.names import COMPRESSED, JSON_NAMES, bare_name
from catalog.data.reading.parquet_parts import read_parquet
from catalog.data.reading.timestamps import moments
from catalog.data.schema import TableSchema, conform, in_words, refuse_repeated
from catalog.data.validation_report import LINE, ValidationReport, shown

__all__ = ["first_occurrences", "read_table", "typed_values", "write_table"]

RESERVED_TOO = "an index of pandas, @ at the beginning, and commas and control characters"
MAX_VALUE = 40
"""Characters of a value that a message shows."""
MAX_ROW = 300
"""Characters of a row that an error shows."""
ISO_TOO = ", nor ISO 8601 time with a zone"


def read_table(path: Path, schema: TableSchema, report: ValidationReport) -> pa.Table:
    """All records of a `.parquet` or JSON file with the types of a schema, and a `LINE` column.

    A `.parquet` may be a folder of such files, which are read in the order of their names.

    A JSON file is named `.jsonl`, `.ndjson` or `.json`, and may be compressed; see `catalog.data.reading`.

    report: counts lines that are not JSON objects, and values of a wrong type, as faults.
    Raises the schema's error for a missing or unreadable file, a missing column, or a column of a wrong type.
    """
    try:
        if path.is_dir():
            if path.suffix != ".parquet":
                raise schema.error(f"{path}: is a folder: join its files into one, as `cat` does lines of JSON")
        elif not path.is_file():
            raise schema.error(f"{path}: there is no such file")
        else:
            path.open("rb").close()
    except OSError as fault:
        raise schema.error(
            f"{path}: cannot be read ({fault.strerror}): let user {os.geteuid()} read it and enter its folders"
        ) from fault
    if bare_name(path).endswith(JSON_NAMES):
        reader = _read_json
    elif path.suffix == ".parquet":
        reader = _read_parquet
    else:
        known = f"{', '.join(JSON_NAMES)} (or one of these with {', '.join(COMPRESSED)})"
        raise schema.error(f"{path}: the name must end in .parquet or {known}")
    table = _with_kept_names(reader(path, schema, report), schema, report, path)
    return conform(table, schema, str(path), report)


def write_table(table: pa.Table, path: Path) -> None:
    """Write a `.parquet` or `.jsonl` file under a temporary name and rename it, so a crash leaves no partial file."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        if path.suffix == ".jsonl":
            import orjson

            with temporary.open("wb") as stream:
                for batch in table.to_batches(max_chunksize=65_536):
                    stream.writelines(orjson.dumps(row) + b"\n" for row in batch.to_pylist())
        else:
            pq.write_table(table, temporary, compression="zstd")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def first_occurrences(column: pa.ChunkedArray, within: pa.ChunkedArray | None = None) -> pa.Array:
    """A boolean array: true where a value occurs for the first time, and for every null.

    within: where given, the value of every row within which those of `column` are told apart; without nulls.
    """
    code_N = encoded(column).indices.fill_null(-1).to_numpy().astype(np.int64)
    if within is not None:
        group_N = encoded(within).indices.to_numpy().astype(np.int64)
        pair_N = group_N * (code_N.max(initial=0) + 1) + code_N
        pairs = pa.chunked_array([pa.array(pair_N, mask=code_N < 0)])
        code_N = encoded(pairs).indices.fill_null(-1).to_numpy()
    # A dictionary numbers values in order of first appearance, so a first occurrence exceeds every code before it.
    highest_N = np.maximum.accumulate(np.r_[-1, code_N])
    return pa.array((code_N > highest_N[:-1]) | (code_N < 0))


def _read_parquet(path: Path, schema: TableSchema, report: ValidationReport) -> pa.Table:
    try:
        table = read_parquet(path)
    except (pa.ArrowException, OSError) as fault:
        hint = "; is it .jsonl?" if path.is_file() and _begins_with(path, b"{") else ""
        raise schema.error(f"{path}: not a readable Parquet file ({fault}){hint}") from fault
    for name, column in zip(table.column_names, table.columns, strict=True):
        try:
            column.validate(full=True)
        except pa.ArrowException as fault:
            raise schema.error(f"{path}: the column {name!r} is damaged, or no {column.type}: {fault}") from fault
    report.place = report.place.removesuffix("line") + "row"
    report.read += len(table)
    report.row_at = partial(_row_of_parquet, path)
    return table.append_column(LINE, pa.array(range(1, len(table) + 1), pa.int64()))


def _row_of_parquet(path: Path, number: int) -> str:
    """A row as it stands in the file."""
    row = read_parquet(path).slice(number - 1, 1)
    values = zip(row.column_names, row.columns, strict=True)
    return ", ".join(f"{name}={shown(column)}" for name, column in values)[:MAX_ROW]


def _begins_with(path: Path, magic: bytes) -> bool:
    with path.open("rb") as stream:
        return stream.read(len(magic)) == magic


def _with_kept_names(table: pa.Table, schema: TableSchema, report: ValidationReport, path: Path) -> pa.Table:
    """The table with the names that its columns can keep. Whoever imports is told of the others."""
    *names, line = table.column_names
    refuse_repeated(names, schema, str(path))
    kept: list[str] = []
    for name in names:
        kept.append(kept_name(name, {*names, *kept, *schema.columns.names}, schema.reserved))
        if kept[-1] != name:
            reserved = ", ".join((*schema.reserved, RESERVED_TOO))
            report.notes.append(f"the column {name!r} is kept as {kept[-1]!r}; reserved are {reserved}")
    return table.rename_columns([*kept, line])


def _read_json(path: Path, schema: TableSchema, report: ValidationReport) -> pa.Table:
    from catalog.data.reading.encoding import EncodingError
    from catalog.data.reading.json_records import read_json_records
    from catalog.data.reading.stream import DAMAGED

    if _begins_with(path, b"PAR1"):
        raise schema.error(f"{path}: this is a Parquet file: name it .parquet")
    try:
        records = read_json_records(path, schema.required, report)
    except DAMAGED as fault:
        raise schema.error(f"{path}: cannot be read to its end ({fault}); is it damaged, or not whole?") from fault
    except EncodingError as fault:
        raise schema.error(str(fault)) from fault
    return _from_rows(records.rows, records.numbers, schema, report, path)


def _from_rows(
    rows: list[dict[str, Any]], lines: list[int], schema: TableSchema, report: ValidationReport, path: Path
) -> pa.Table:
    names = list(dict.fromkeys(name for row in rows for name in row)) if rows else schema.columns.names
    columns: dict[str, Any] = {}
    sound = [True] * len(rows)
    for name in names:
        values = [row.get(name) for row in rows]
        if name in schema.times:
            values = moments(values, report.notes)
        if name not in schema.columns.names:
            places = [f"{report.place} {line}" for line in lines]
            columns[name] = _inferred(values, name, schema, path, places)
            continue
        expected = schema.columns.field(name)
        columns[name], wrong = typed_values(values, expected, identifier=name in schema.identifiers)
        for row in wrong:
            if sound[row]:  # a record with two broken values is one broken record
                example = f"{report.place} {lines[row]}: {name}={rows[row][name]!r}"
                what = in_words(expected.type) + (ISO_TOO if name in schema.times else "")
                as_it_stands = partial(report.row_at, lines[row]) if report.row_at is not None else None
                report.count(f"{name} that is no {what}", 1, [example], row=as_it_stands)
            sound[row] = False
    table = pa.Table.from_arrays([*columns.values(), pa.array(lines, pa.int64())], names=[*columns, LINE])
    return table.filter(pa.array(sound, pa.bool_()))


def typed_values(values: Sequence[Any], expected: pa.Field, *, identifier: bool) -> tuple[pa.Array, list[int]]:
    """JSON values as an arrow array, and the positions of values of a wrong type, which are null in it.

    expected: a field of one of the types that `in_words` has a word for.
    identifier: whether whole numbers are converted to strings, as `id_text` does.
    """
    if identifier:
        values = [id_text(value) for value in values]
    # Arrow itself would read 1.5 as the whole number 1, and the string "Tents" as a list of five letters.
    accepts = _ACCEPTS[expected.type]
    wrong = [row for row, value in enumerate(values) if value is not None and not accepts(value)]
    if wrong:
        rejected = set(wrong)
        values = [None if row in rejected else value for row, value in enumerate(values)]
    if pa.types.is_floating(expected.type):
        values = [None if value is None else float(value) for value in values]
    return pa.array(values, expected.type), wrong


_ACCEPTS: Mapping[pa.DataType, Callable[[Any], bool]] = {
    pa.string(): lambda value: type(value) is str,
    pa.bool_(): lambda value: type(value) is bool,
    pa.float64(): lambda value: type(value) is float or (type(value) is int and is_double(value)),
    pa.int64(): lambda value: type(value) in {int, float} and value == value // 1 and -(2**63) <= value < 2**63,
    pa.list_(pa.string()): lambda value: (
        type(value) is list and all(name is None or type(name) is str for name in value)
    ),
}


def _inferred(values: list[Any], name: str, schema: TableSchema, path: Path, places: Sequence[str]) -> pa.Array:
    """The values as a column. places: where each stands. Raises the schema's error for values of several types."""
    try:
        numbers = [value for value in values if value is not None]
        if any(type(number) is int and not -(2**63) <= number < 2**63 for number in numbers):
            if all(type(number) is int for number in numbers):
                return _long_numbers(values)
            if all(type(number) in {int, float} for number in numbers):
                return pa.array([None if value is None else float(value) for value in values])
        return pa.array(values)
    except (pa.ArrowException, TypeError, OverflowError) as fault:
        mixture = _mixture(values, places) or fault
        raise schema.error(
            f"{path}: the column {name!r} mixes types ({mixture}); give all its values one type, or remove it"
        ) from fault


def _mixture(values: Sequence[Any], places: Sequence[str]) -> str | None:
    """The first value, and the first that is of another type, with their places; None where all are of one."""
    telling = [row for row, value in enumerate(values) if value is not None and value != []]  # [] is a list of anything
    first = next(iter(telling), None)
    if first is None:
        return None
    kind = _json_kind(values[first])
    other = next((row for row in telling if _json_kind(values[row]) != kind), None)
    rows = [first] if other is None else [first, other]
    if other is None and " and " not in kind:
        return None
    shown_rows = (f"{places[row]} has the {_json_kind(values[row])} {repr(values[row])[:MAX_VALUE]}" for row in rows)
    return ", ".join(shown_rows)


def _json_kind(value: Any) -> str:
    """What JSON calls a value, and of a list what is in it."""
    if type(value) is list:
        within = dict.fromkeys(_json_kind(entry) + "s" for entry in value if entry is not None)
        return f"list of {' and '.join(within)}" if within else "list"
    return _JSON_KINDS.get(type(value), type(value).__name__)


_JSON_KINDS: Mapping[type, str] = {bool: "boolean", int: "number", float: "number", str: "string", dict: "object"}


def _long_numbers(values: list[int | None]) -> pa.Array:
    """Whole numbers of which some do not fit an int64: hashes as uint64, longer ones as text."""
    try:
        return pa.array(values, pa.uint64())
    except OverflowError:
        return pa.array([None if value is None else str(value) for value in values], pa.string())
