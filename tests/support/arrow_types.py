"""A sample column of every Arrow type, and the table of docs/data.md of what becomes of them, which this writes:

python -m tests.support.arrow_types
"""

from decimal import Decimal
from itertools import groupby
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from catalog.data.columns.types import UnusableColumn, to_column_type
from catalog.filters.ast import Column
from catalog.filters.columns import find_column
from tests.support.paths import ROOT

NOON = 1_763_640_000
"""2025-11-20 12:00 in seconds."""

WHOLE = (pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32())
TEXT = (pa.string(), pa.large_string(), pa.string_view())
BYTES = (pa.binary(), pa.large_binary(), pa.binary_view())
LISTS = (
    pa.list_(pa.string()),
    pa.large_list(pa.string()),
    pa.list_view(pa.string()),
    pa.large_list_view(pa.string()),
    pa.list_(pa.string(), 2),
)
ZONES = ("UTC", "Europe/Berlin", "+05:30", "Mars/Olympus")


def samples() -> list[tuple[str, pa.Array]]:
    """A name and two values of every type, the second null; types that become the same stand together."""
    columns = [pa.array(["tent", None], kind) for kind in TEXT]
    columns += [pa.array(["tent", None]).cast(pa.json_()), pa.nulls(2)]
    columns += [pa.array([b"\x01" * 16, None], pa.binary(16)).cast(pa.uuid())]
    columns += [pa.array([True, None]), pa.array([1, None], pa.int8()).cast(pa.bool8())]
    columns += [pa.array([7, None], kind) for kind in WHOLE]
    columns += [pa.array([7, None], make(4, 0)) for make in DECIMALS]
    columns += [pa.array([2**64 - 1, None], pa.uint64())]
    columns += [pa.array([Decimal(10**21), None], pa.decimal256(22, 0))]
    columns += [pa.array([0.1, None], kind) for kind in (pa.float16(), pa.float32(), pa.float64())]
    columns += [pa.array([Decimal("0.1"), None], make(4, 2)) for make in DECIMALS]
    columns += [pa.array([Decimal("0.1"), None], pa.decimal128(38, 18))]
    columns += [pa.array([NOON // 86400, None], pa.int32()).cast(pa.date32())]
    columns += [pa.array([NOON // 86400 * 86_400_000, None], pa.date64())]
    columns += [pa.array([NOON * 10**places, None], pa.timestamp(unit)) for unit, places in UNITS]
    columns += [pa.array([NOON * 10**9 + 1, None], pa.timestamp("ns"))]
    columns += [pa.array([NOON * 10**6, None], pa.timestamp("us", zone)) for zone in ZONES]
    columns += [pa.array([43_200, None], pa.time32("s")), pa.array([43_200_000, None], pa.time32("ms"))]
    columns += [pa.array([43_200 * 10**6, None], pa.time64("us")), pa.array([43_200 * 10**9, None], pa.time64("ns"))]
    columns += [pa.array([90 * 10**places, None], pa.duration(unit)) for unit, places in UNITS]
    columns += [pa.array([b"tent", None], kind) for kind in (*BYTES, pa.binary(4))]
    columns += [pa.array([b"\x89PNG", None], pa.binary())]
    columns += [pa.array([["a", "b"], None], kind) for kind in LISTS]
    columns += [pa.array([None, []], pa.list_(pa.null()))]
    columns += [pa.array(["tent", None]).dictionary_encode(), pc.run_end_encode(pa.array(["tent", None]))]
    columns += [pa.array([{"a": 1}, None]), pa.array([[("a", 1)], None], pa.map_(pa.string(), pa.int64()))]
    columns += [pa.array([[1], None]), pa.array([[["a"]], None])]
    columns += [*_unions(), pa.array([(1, 2, 3), None], pa.month_day_nano_interval())]
    return [(_name(column), column) for column in columns]


UNITS = (("s", 0), ("ms", 3), ("us", 6), ("ns", 9))
DECIMALS = (pa.decimal32, pa.decimal64, pa.decimal128, pa.decimal256)
DOCUMENT = ROOT / "docs" / "data.md"
BEGIN, END = "<!-- column types -->", "<!-- end of column types -->"
UNREACHABLE = {"Type_INTERVAL_MONTHS", "Type_INTERVAL_DAY_TIME"}
"""Types that pyarrow cannot make, in memory or of a file."""


def _unions() -> list[pa.Array]:
    children = [pa.array([1]), pa.array(["a"])]
    kinds, offsets = pa.array([0, 1], pa.int8()), pa.array([0, 0], pa.int32())
    sparse = pa.UnionArray.from_sparse(kinds, [pa.array([1, 2]), pa.array(["a", "b"])])
    return [pa.UnionArray.from_dense(kinds, offsets, children), sparse]


def _name(column: pa.Array) -> str:
    name = str(column.type).replace("item: ", "").replace("halffloat", "float16").replace("double", "float64")
    name = "float32" if name == "float" else name
    name = name.replace("list<string>[2]", "list<string>[n]").replace("binary[4]", "binary[n]")
    first = column[0].as_py() if not pa.types.is_temporal(column.type) else None
    if pa.types.is_decimal(column.type):
        return name.replace("(4, ", "(p, ").replace("2)", "s)") if column.type.precision == 4 else name
    if pa.types.is_timestamp(column.type) and column.cast(pa.int64())[0].as_py() % 1000:
        name += ", not whole microseconds" if column.type.unit == "ns" else ""
    return f"{name}, not UTF-8" if isinstance(first, bytes) and not first.isascii() else name


def with_table(document: str) -> str:
    """The document with the table as it has to be, between its two comments."""
    before, after = document.split(BEGIN, maxsplit=1)[0], document.split(END)[1]
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def table() -> str:
    """The table of the document, in Markdown."""
    rows = [(name, *_fate(column)) for name, column in samples()]
    lines = ["| In the file | becomes | in answers and `PUT` | in filters | to know |", "|---|---|---|---|---|"]
    for fate, same in groupby(rows, lambda row: row[1:]):
        names = ", ".join(f"`{name}`" for name, *_ in same)
        lines.append(f"| {names} | {' | '.join(fate)} |")
    return "\n".join(lines)


def _fate(column: pa.Array) -> tuple[str, str, str, str]:
    try:
        converted, note = to_column_type(pa.chunked_array([column]))
    except UnusableColumn:
        return "refused", "–", "–", "the message names the column"
    holding = find_column(pa.table({"it": converted}), Column("it", (0, 2))).holding.value
    shown: Any = orjson.loads(orjson.dumps(converted[0].as_py()))
    text = orjson.dumps(shown).decode()
    kind = str(converted.type).replace("item: ", "").replace("element: ", "")
    return f"`{kind}`", f"`{text}`", holding, (note or "").replace("|", "/")


if __name__ == "__main__":
    DOCUMENT.write_text(with_table(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
