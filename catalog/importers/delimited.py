"""Reads comma- and tab-separated files, plain or gzipped, as tables of strings with line numbers.

All values are read as text first, so that a broken number is a line of the report and does not end the import.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from catalog.data.validation_report import LINE, ValidationReport
from catalog.errors import DatasetError

__all__ = ["batches", "decimals", "find_file", "read_columns", "whole_numbers"]

BLOCK_BYTES = 32 << 20
"""No record may be longer than a block. Those of Qilin hold embeddings as text."""


def find_file(folder: Path, name: str) -> Path:
    """The file `folder/name` or `folder/name.gz`. Raises DatasetError if neither exists."""
    if not folder.is_dir():
        raise DatasetError(f"{folder} is not a folder; expected a folder holding {name} or {name}.gz")
    for candidate in (folder / name, folder / f"{name}.gz"):
        if candidate.is_file():
            return candidate
    raise DatasetError(f"{folder}: expected a file {name} or {name}.gz, and there is neither")


def read_columns(
    path: Path,
    columns: Sequence[str],
    report: ValidationReport,
    *,
    delimiter: str = ",",
    quoted: bool = True,
    encoding: str = "utf8",
) -> pa.Table:
    """Some columns of a file as strings, and a `LINE` column.

    report: counts lines with too few or too many fields as faults.
    Raises DatasetError for a file without these columns, or one that is not delimited text.
    """
    nothing = pa.table({**{name: pa.array([], pa.string()) for name in columns}, LINE: pa.array([], pa.int64())})
    parts = batches(path, columns, report, delimiter=delimiter, quoted=quoted, encoding=encoding)
    return pa.concat_tables([nothing, *parts])


def batches(
    path: Path,
    columns: Sequence[str],
    report: ValidationReport,
    *,
    delimiter: str = ",",
    quoted: bool = True,
    multiline: bool = False,
    encoding: str = "utf8",
) -> Iterator[pa.Table]:
    """Read columns as `read_columns` does, a block at a time.

    multiline: whether values may hold line breaks; `LINE` then counts records.
    """
    skipped: list[int] = []

    def skip(row: pa.csv.InvalidRow) -> str:
        skipped.append(row.number)
        example = f"{path.name} line {row.number}: {row.text[:60]!r}"
        reason = f"line with {row.actual_columns} fields instead of {row.expected_columns}"
        report.read += 1
        report.count(reason, 1, [example])
        return "skip"

    parse = pa.csv.ParseOptions(
        delimiter=delimiter,
        quote_char='"' if quoted else False,
        newlines_in_values=multiline,
        invalid_row_handler=skip,
    )
    convert = pa.csv.ConvertOptions(
        include_columns=list(columns), column_types=dict.fromkeys(columns, pa.string()), strings_can_be_null=False
    )
    read = pa.csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES, encoding=encoding)
    number = 1  # The header is line 1.
    try:
        with pa.csv.open_csv(str(path), read, parse, convert) as reader:
            for batch in reader:
                lines = _line_numbers(number, len(batch), skipped)
                number = lines[-1] if lines else number
                report.read += len(batch)
                yield pa.Table.from_batches([batch]).append_column(LINE, pa.array(lines, pa.int64()))
    except KeyError as fault:
        raise DatasetError(f"{path}: expected the columns {', '.join(columns)}: {fault.args[0]}") from fault
    except (pa.ArrowInvalid, OSError) as fault:
        raise DatasetError(f"{path}: not readable as delimited text ({fault})") from fault


def whole_numbers(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Strings converted to int64; null where a string is not a whole number."""
    return _parsed(column, r"^-?[0-9]{1,18}$", pa.int64())


def decimals(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Strings converted to float64; null where a string is not a decimal number."""
    return _parsed(column, r"^-?[0-9]{1,18}(\.[0-9]{0,18})?$", pa.float64())


def _parsed(column: pa.ChunkedArray, pattern: str, kind: pa.DataType) -> pa.ChunkedArray:
    trimmed = pc.ascii_trim_whitespace(column)
    matches = pc.match_substring_regex(trimmed, pattern)
    return pc.if_else(matches, trimmed, pa.scalar(None, pa.string())).cast(kind)


def _line_numbers(last: int, rows: int, skipped: Sequence[int]) -> list[int]:
    holes = {number for number in skipped if number > last}
    lines: list[int] = []
    while len(lines) < rows:
        last += 1
        if last not in holes:
            lines.append(last)
    return lines
