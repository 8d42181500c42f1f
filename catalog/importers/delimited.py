"""Reads files of cells between delimiters as tables of strings with line numbers, in the dialects in which they come.

Files may be compressed, in UTF-8, UTF-16 or Windows-1252, with a byte-order mark, with `sep=;` in the first line, and
with another delimiter than the usual one: it is the one that makes the expected columns of the header. All values are
read as text first, so that a broken number is a line of the report and does not end the import.
"""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from catalog.data.reading.encoding import EncodingError, encoding_error, line_encodings
from catalog.data.reading.names import COMPRESSED
from catalog.data.reading.stream import DAMAGED, opened
from catalog.data.reading.timestamps import in_milliseconds, moments
from catalog.data.validation_report import LINE, ValidationReport
from catalog.errors import DatasetError

__all__ = ["batches", "decimals", "find_file", "has_file", "read_columns", "times", "whole_numbers"]

BLOCK_BYTES = 32 << 20
"""No record may be longer than a block. Those of Qilin hold embeddings as text."""
MAX_HEADER = 1 << 20
DELIMITERS = (",", ";", "\t", "|")
SEPARATOR_LINE = re.compile(r"^sep=(.)$", re.IGNORECASE)
"""What Excel writes, and reads, before the header."""
IDENTIFIERS = frozenset({"userId", "movieId", "userID", "artistID", "tagID", "id", "user_id", "parent_asin"})
"""Columns of ids in the data sets that are read so."""
JOINED = "::"
UNIT_SEPARATOR = "\x1f"
"""Stands for a delimiter of two characters, which arrow cannot take."""
ESCAPED_QUOTE = rb'(?:^|%s)"(?:[^"\\\n]|""|\\[^"\n])*\\"[^"\r\n%s]'
"""In a cell that begins with a quotation mark, one behind a backslash that cannot end it, as text follows."""


def has_file(folder: Path, name: str) -> bool:
    """Whether there is a file of this name, which may be compressed."""
    return any((folder / f"{name}{compressed}").is_file() for compressed in ("", *COMPRESSED))


def find_file(folder: Path, *names: str) -> Path:
    """The file of the first of these names, which may be compressed. Raises DatasetError if there is none."""
    if not folder.is_dir():
        raise DatasetError(f"{folder} is not a folder; expected a folder holding {names[0]} or {names[0]}.gz")
    for name in names:
        for candidate in (folder / f"{name}{compressed}" for compressed in ("", *COMPRESSED)):
            if candidate.is_file():
                return candidate
    expected = " or ".join(part for name in names for part in (name, f"{name}.gz"))
    raise DatasetError(f"{folder}: expected a file {expected}, and there is {'neither' if len(names) == 1 else 'none'}")


def read_columns(
    path: Path,
    columns: Sequence[str],
    report: ValidationReport,
    *,
    delimiter: str = ",",
    quoted: bool = True,
    header: Sequence[str] | None = None,
) -> pa.Table:
    """Some columns of a file as strings, and a `LINE` column.

    delimiter: where the header does not tell; may be `::`.
    header: the columns of a file that does not begin with their names.
    report: counts lines with too few or too many fields as faults, and those that a quotation mark swallowed.
    Raises DatasetError for a file without these columns, or one that is not delimited text.
    """
    nothing = pa.table({**{name: pa.array([], pa.string()) for name in columns}, LINE: pa.array([], pa.int64())})
    parts = batches(path, columns, report, delimiter=delimiter, quoted=quoted, header=header)
    table = pa.concat_tables([nothing, *parts])
    for name in IDENTIFIERS & set(columns):
        table = table.set_column(table.column_names.index(name), name, _ids(table[name]))
    return _without_swallowed(table, columns, report) if quoted else table


def batches(
    path: Path,
    columns: Sequence[str],
    report: ValidationReport,
    *,
    delimiter: str = ",",
    quoted: bool = True,
    header: Sequence[str] | None = None,
) -> Iterator[pa.Table]:
    """Read columns as `read_columns` does, a block at a time. Values may hold line breaks; `LINE` counts records."""
    skipped: list[int] = []
    try:
        encoding = _encoding(path, report)
        form = _form(path, encoding, columns, delimiter, quoted, header)
        report.row_at = form.row_at

        def skip(row: pa.csv.InvalidRow) -> str:
            skipped.append(row.number)
            place = f"{path.name} line {row.number + form.lines_before}"
            reason = f"line with {row.actual_columns} fields instead of {row.expected_columns}"
            lines = row.text.rstrip("\n").count("\n") + 1  # more than one where a quotation mark does not end
            report.read += lines
            shown = row.text.replace(UNIT_SEPARATOR, JOINED)
            report.count(reason, lines, [f"{place}: {shown[:60]!r}"], row=lambda: shown[:300])
            return "skip"

        parse = pa.csv.ParseOptions(
            delimiter=UNIT_SEPARATOR if form.delimiter == JOINED else form.delimiter,
            quote_char='"' if quoted else False,
            escape_char="\\" if quoted and form.escapes(report) else False,
            newlines_in_values=quoted,
            invalid_row_handler=skip,
        )
        convert = pa.csv.ConvertOptions(
            include_columns=list(columns), column_types=dict.fromkeys(columns, pa.string()), strings_can_be_null=False
        )
        read = pa.csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES, column_names=list(form.names))
        number = 0
        with form.rows() as stream:
            if stream.peek(1):
                with pa.csv.open_csv(stream, read, parse, convert) as reader:
                    for batch in reader:
                        lines = _line_numbers(number, len(batch), skipped)
                        number = lines[-1] if lines else number
                        report.read += len(batch)
                        places = pa.array([line + form.lines_before for line in lines], pa.int64())
                        yield pa.Table.from_batches([batch]).append_column(LINE, places)
    except EncodingError as fault:
        raise DatasetError(str(fault)) from fault
    except (pa.ArrowInvalid, UnicodeDecodeError, csv.Error, *DAMAGED) as fault:
        raise DatasetError(f"{path}: not readable as delimited text ({fault})") from fault


@dataclass(frozen=True, slots=True)
class _Form:
    """How a file is written.

    names: of its columns, in the spelling that was asked for where it is one of these.
    lines_before: lines before the first row.
    """

    path: Path
    encoding: str
    delimiter: str
    names: tuple[str, ...]
    lines_before: int

    def rows(self) -> io.BufferedReader:
        """The file behind its header, as UTF-8."""
        stream = _opened(self.path, self.encoding)
        for _ in range(self.lines_before):
            stream.readline()
        if self.delimiter != JOINED:
            return stream
        with stream:
            return io.BufferedReader(io.BytesIO(stream.read().replace(JOINED.encode(), UNIT_SEPARATOR.encode())))

    def escapes(self, report: ValidationReport) -> bool:
        """Whether quotation marks are escaped by backslashes, as MySQL and Hive write them, which the report notes."""
        one = re.escape(self.delimiter.encode())
        with self.rows() as stream:
            found = re.search(ESCAPED_QUOTE % (one, one), stream.read(BLOCK_BYTES), re.MULTILINE)
        if found is not None:
            shown = found[0].decode("utf-8", "replace").strip()[:60]
            report.notes.append(f"{self.path.name} escapes quotation marks by backslashes, as in {shown}")
        return found is not None

    def row_at(self, line: int) -> str:
        """A line as it stands in the file."""
        with _opened(self.path, self.encoding) as stream:
            for _ in range(line - 1):
                stream.readline()
            return stream.readline().decode("utf-8", "backslashreplace").rstrip("\r\n")[:300]


def _opened(path: Path, encoding: str) -> io.BufferedReader:
    """The text as UTF-8, with a line feed at the ends of lines: Excel for Mac writes carriage returns alone."""
    stream = opened(path, encoding)
    head = stream.peek(MAX_HEADER)
    if b"\n" in head or b"\r" not in head[:-1]:
        return stream
    with stream:
        return io.BufferedReader(io.BytesIO(stream.read().replace(b"\r", b"\n")))


def _encoding(path: Path, report: ValidationReport) -> str:
    """UTF-8, or Windows-1252, as which the report notes that a file was read. Raises EncodingError for other files."""
    with opened(path) as stream:
        found = line_encodings(stream)
    if not found.broken:
        return "utf-8"
    if not found.is_windows_1252 or found.foreign:
        raise encoding_error(path, found)
    number, line = found.first or (0, b"")
    shown = line.decode("cp1252").strip()[:60]
    report.notes.append(f"{path.name} is not UTF-8, and was read as Windows-1252: line {number} is {shown!r}")
    return "cp1252"


def _form(
    path: Path, encoding: str, columns: Sequence[str], delimiter: str, quoted: bool, header: Sequence[str] | None
) -> _Form:
    if header is not None:
        return _Form(path, encoding, delimiter, tuple(header), 0)
    lines_before = 1
    with _opened(path, encoding) as stream:
        line = stream.readline(MAX_HEADER).decode("utf-8", "replace").strip("\r\n")
        if found := SEPARATOR_LINE.match(line):
            delimiter, lines_before = found[1], 2
            line = stream.readline(MAX_HEADER).decode("utf-8", "replace").strip("\r\n")
    spelled = {name.lower(): name for name in columns}
    for candidate in dict.fromkeys((delimiter, *DELIMITERS)):
        cells = next(csv.reader([line], delimiter=candidate), []) if quoted else line.split(candidate)
        names = [spelled.get(cell.strip().lower(), cell.strip()) for cell in cells]
        if set(columns) <= set(names):
            return _Form(path, encoding, candidate, tuple(names), lines_before)
    raise DatasetError(f"{path}: expected the columns {', '.join(columns)}; the first line is {line[:200]!r}")


def _without_swallowed(table: pa.Table, columns: Sequence[str], report: ValidationReport) -> pa.Table:
    """The rows without those in which a quotation mark that does not end swallowed the lines behind it.

    Titles and tags of a few lines there may be. But no cell of these files is of a thousand characters, and none has
    lines with as many delimiters as a row has.
    """
    broken: pa.ChunkedArray | pa.Array = pa.array([False] * len(table), pa.bool_())
    for name in columns:
        lines = pc.count_substring(table[name], "\n")
        cells = pc.count_substring_regex(table[name], r"\n[^\n]*[,;\t|]")
        broken = pc.or_(broken, pc.and_(pc.greater(lines, 0), pc.greater_equal(pc.multiply(cells, 2), lines)))
        swallowed = pc.sum(pc.if_else(broken, lines, 0)).as_py() or 0
        report.read += swallowed
        report.count("line behind a quotation mark that does not end", swallowed)
    return report.drop(table, broken, "quotation mark that does not end", show=columns)


def _ids(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Ids without white space around them, and whole numbers that a column with gaps made floats as they were."""
    return pc.replace_substring_regex(pc.utf8_trim_whitespace(column), r"^(-?[0-9]{1,15})\.0*$", r"\1")


def whole_numbers(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Strings converted to int64, `7.0` and `7e2` too; null where a string is not a whole number."""
    trimmed = pc.replace_substring_regex(pc.ascii_trim_whitespace(column), r"(\d)(?:\.0*|,00?)$", r"\1")
    plain = _parsed(trimmed, r"^-?[0-9]{1,18}$", pa.int64())
    if plain.null_count == 0:
        return plain
    floats = _parsed(
        pc.replace_substring(trimmed, ",", "."), r"^-?[0-9]{1,18}(\.[0-9]{0,18})?[eE]\+?[0-9]{1,2}$", pa.float64()
    )
    whole = pc.and_(pc.equal(floats, pc.floor(floats)), pc.less(pc.abs(floats), 2.0**53))
    return pc.coalesce(plain, pc.if_else(whole, floats, pa.scalar(None, pa.float64())).cast(pa.int64()))


def decimals(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Strings converted to float64; null where a string is not a decimal number.

    Where no value of the column has a point, a comma is a decimal comma.
    """
    if not pc.any(pc.match_substring(column, ".")).as_py():
        column = pc.replace_substring(column, ",", ".")
    unsigned = pc.replace_substring_regex(pc.ascii_trim_whitespace(column), r"^\+", "")
    return _parsed(unsigned, r"^-?([0-9]{1,18}(\.[0-9]{0,18})?|\.[0-9]{1,18})([eE][+-]?[0-9]{1,2})?$", pa.float64())


def times(column: pa.ChunkedArray, *, seconds: bool) -> pa.ChunkedArray:
    """Strings converted to Unix milliseconds: numbers in any unit, or ISO 8601; null where a string is neither.

    seconds: whether numbers are seconds where their size does not tell.
    """
    numbers = whole_numbers(column)
    scaled, unit = in_milliseconds(numbers)
    if unit is None and seconds and (pc.max(numbers).as_py() or 0) < SECONDS_BELOW:
        scaled = pc.multiply(numbers, 1000)
    if scaled.null_count == 0:
        return scaled
    texts = pc.if_else(pc.is_null(numbers), column, pa.scalar(None, pa.string())).to_pylist()
    read = [value if type(value) is int and abs(value) < 2**63 else None for value in moments(texts, [])]
    return pc.coalesce(scaled, pa.chunked_array([pa.array(read, pa.int64())]))


SECONDS_BELOW = 10**11
"""Unix times below this are seconds, because as milliseconds they would be before March 1973."""


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
