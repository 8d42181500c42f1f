"""The few types that columns have once they are read, and what becomes of every other Arrow type.

    string, true or false, int64, uint64, double, list of strings, date32, timestamp[us], timestamp[us, UTC]

All that reads columns later (filters, answers, changes, training) knows these. A column of another type becomes one of
them when its file is read, or is refused. `docs/data.md` has the table of all Arrow types, which a test writes.

Shapes: N values.
"""

from base64 import b64encode
from collections.abc import Callable
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from catalog.data.columns.long_text import as_strings

__all__ = [
    "COLUMN_TYPES",
    "UnusableColumn",
    "as_doubles",
    "is_bytes",
    "is_column_type",
    "is_list_of_text",
    "is_text",
    "text_of_bytes",
    "to_column_type",
    "unwrapped",
]

COLUMN_TYPES = (
    pa.string(),
    pa.bool_(),
    pa.int64(),
    pa.uint64(),
    pa.float64(),
    pa.list_(pa.string()),
    pa.date32(),
    pa.timestamp("us"),
    pa.timestamp("us", "UTC"),
)

TICKS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}  # of a second
DAY = 24 * 60 * 60
FIRST_DAY, LAST_DAY = ((day - date(1970, 1, 1)).days for day in (date.min, date.max))
ROWS = 1 << 20  # of a dictionary that are decoded at once, lest their text be too long for one array
EXACT_DIGITS = 15  # of a decimal, which every double keeps
SCALARS = "a further column holds scalars or lists of strings"


class UnusableColumn(Exception):
    """A column that cannot be converted. row: of the first value that is to blame, from 0; None where the type is."""

    def __init__(self, reason: str, row: int | None = None) -> None:
        super().__init__(reason)
        self.row = row


def is_column_type(kind: pa.DataType) -> bool:
    """Whether a column of this type needs no conversion."""
    return any(kind == known for known in COLUMN_TYPES)


def is_text(kind: pa.DataType) -> bool:
    """Whether values are strings, however they are stored."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def is_bytes(kind: pa.DataType) -> bool:
    """Whether values are bytes, however they are stored."""
    kinds = pa.types
    return bool(
        kinds.is_binary(kind)
        or kinds.is_large_binary(kind)
        or kinds.is_fixed_size_binary(kind)
        or kinds.is_binary_view(kind)
    )


def is_list_of_text(kind: pa.DataType) -> bool:
    """Whether values are lists of strings, or of nulls alone, however they are stored."""
    if not _is_list(kind):
        return False
    inner = kind.value_type.value_type if pa.types.is_dictionary(kind.value_type) else kind.value_type
    return is_text(inner) or bool(pa.types.is_null(inner))


def text_of_bytes(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Bytes as the text that they are in UTF-8. Raises ArrowInvalid where they are none."""
    return as_strings(column)


def as_doubles(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Floats as doubles of the fewest digits that name them: 0.1 of 32 bits is 0.1, not 0.10000000149."""
    if pa.types.is_float16(column.type):
        printed = [None if value is None else float(str(np.float16(value))) for value in column.to_pylist()]
        return pa.chunked_array([pa.array(printed, pa.float64())])
    return column.cast(pa.string()).cast(pa.float64()) if pa.types.is_float32(column.type) else column


def to_column_type(column: pa.ChunkedArray) -> tuple[pa.ChunkedArray, str | None]:
    """The column in one of `COLUMN_TYPES`, and what people should know of the conversion, None where nothing is lost.

    Raises UnusableColumn for a type that nothing reads, or a value that its new type cannot hold.
    """
    column = unwrapped(column)
    kind = column.type
    for is_such, convert in _CONVERSIONS:
        if is_such(kind):
            return convert(column)
    raise UnusableColumn(f"is {kind}; {SCALARS}: remove it, or store it as one of these")


def unwrapped(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The values themselves, where the type only says how they are stored or what they mean."""
    kind = column.type
    if isinstance(kind, pa.UuidType):
        texts = [None if raw is None else str(raw) for raw in column.to_pylist()]
        return pa.chunked_array([pa.array(texts, pa.string())])
    if isinstance(kind, pa.Bool8Type):
        return _by_chunk(column, lambda chunk: pc.not_equal(chunk.storage, 0), pa.bool_())
    if isinstance(kind, pa.BaseExtensionType):
        return unwrapped(_by_chunk(column, lambda chunk: chunk.storage, kind.storage_type))
    if pa.types.is_dictionary(kind):
        few = [chunk.slice(row, ROWS) for chunk in column.chunks for row in range(0, len(chunk), ROWS)]
        return unwrapped(pa.chunked_array([chunk.dictionary_decode() for chunk in few], kind.value_type))
    if pa.types.is_run_end_encoded(kind):
        return unwrapped(_by_chunk(column, pc.run_end_decode, kind.value_type))
    return column


def _by_chunk(column: pa.ChunkedArray, convert: Callable[[pa.Array], pa.Array], kind: pa.DataType) -> pa.ChunkedArray:
    return pa.chunked_array([convert(chunk) for chunk in column.chunks], kind)


Converted = tuple[pa.ChunkedArray, str | None]


def _nulls(column: pa.ChunkedArray) -> Converted:
    return column.cast(pa.string()), None


def _same(column: pa.ChunkedArray) -> Converted:
    return column, None


def _text(column: pa.ChunkedArray) -> Converted:
    return column if pa.types.is_string(column.type) else as_strings(column), None


def _bytes(column: pa.ChunkedArray) -> Converted:
    try:
        return text_of_bytes(column), "bytes that are UTF-8 are kept as text"
    except pa.ArrowInvalid:
        texts = [None if raw is None else b64encode(raw).decode() for raw in column.to_pylist()]
        return pa.chunked_array([pa.array(texts, pa.string())]), "bytes that are no UTF-8 are kept as text in base64"


def _whole(column: pa.ChunkedArray) -> Converted:
    return column.cast(pa.uint64() if pa.types.is_uint64(column.type) else pa.int64()), None


def _real(column: pa.ChunkedArray) -> Converted:
    column = as_doubles(column)
    finite = pc.is_finite(column)
    infinite = pc.sum(pc.is_inf(column)).as_py() or 0
    if pc.any(pc.invert(finite)).as_py():
        column = pc.if_else(finite, column, pa.scalar(None, pa.float64()))
    return column, f"{infinite:,} infinite numbers are read as null" if infinite else None


def _decimal(column: pa.ChunkedArray) -> Converted:
    if column.type.scale > 0:
        rounded = column.type.precision > EXACT_DIGITS
        # through text, which is read as the nearest double
        return column.cast(pa.string()).cast(pa.float64()), "decimals are rounded to doubles" if rounded else None
    texts = [None if value is None else format(value, "f") for value in column.to_pylist()]
    digits = pa.chunked_array([pa.array(texts, pa.string())])
    for kind in (pa.int64(), pa.uint64()):
        try:
            return digits.cast(kind), None
        except pa.ArrowInvalid:
            continue
    return digits, "whole numbers of over 64 bits are kept as text"


def _date(column: pa.ChunkedArray) -> Converted:
    if pa.types.is_date64(column.type):
        return _date64(column)
    _check_range(column.cast(pa.int32()), FIRST_DAY, LAST_DAY, "is a date outside of the years 1 to 9999")
    return column, None


def _date64(column: pa.ChunkedArray) -> Converted:
    ticks, day = column.cast(pa.int64()), DAY * 1000
    _check_range(ticks, FIRST_DAY * day, (LAST_DAY + 1) * day - 1, "is a date outside of the years 1 to 9999")
    days = _by_chunk(ticks, lambda chunk: _floor_divided(chunk, day), pa.int64())
    cut = _differ(ticks, pc.multiply(days, day))
    return days.cast(pa.int32()).cast(pa.date32()), "times of day are cut off" if cut else None


def _moment(column: pa.ChunkedArray) -> Converted:
    """Microseconds, in UTC where the column has a zone: the zone only says how to print a moment."""
    kind = column.type
    wanted, ticks = pa.timestamp("us", None if kind.tz is None else "UTC"), TICKS[kind.unit]
    numbers = column.cast(pa.int64())  # a zone that no data base knows makes no trouble there
    notes = [] if kind.tz in (None, "UTC") else [f"times are kept in UTC, not {kind.tz}"]
    if kind.unit == "ns":  # which reaches from 1677 to 2262
        micros = _by_chunk(numbers, lambda chunk: _floor_divided(chunk, 1000), pa.int64())
        if _differ(numbers, pc.multiply(micros, 1000)):
            notes.append("times are cut to whole microseconds")
    else:
        first, last = FIRST_DAY * DAY * ticks, (LAST_DAY + 1) * DAY * ticks - 1
        _check_range(numbers, first, last, "is a time outside of the years 1 to 9999")
        micros = pc.multiply(numbers, TICKS["us"] // ticks)
    return micros.cast(wanted), "; ".join(notes) or None


def _differ(some: pa.ChunkedArray, others: pa.ChunkedArray) -> bool:
    return bool(pc.any(pc.not_equal(some, others)).as_py())


def _floor_divided(chunk: pa.Array, by: int) -> pa.Array:
    values_N = pc.fill_null(chunk, 0).to_numpy(zero_copy_only=False) // by
    return pa.array(values_N, pa.int64(), mask=pc.is_null(chunk).to_numpy(zero_copy_only=False))


def _time_of_day(column: pa.ChunkedArray) -> Converted:
    """ISO 8601 text with as many digits as the column needs, so that its order is that of the times."""
    ticks = TICKS[column.type.unit]
    numbers = column.cast(pa.int32() if pa.types.is_time32(column.type) else pa.int64()).cast(pa.int64())
    _check_range(numbers, 0, DAY * ticks - 1, "is no time of a day")
    for unit, kind in (("s", pa.time32("s")), ("ms", pa.time32("ms")), ("us", pa.time64("us"))):
        try:
            if TICKS[unit] <= ticks:
                return column.cast(kind).cast(pa.string()), None
        except pa.ArrowInvalid:  # the unit is too coarse
            continue
    return column.cast(pa.string()), None


def _duration(column: pa.ChunkedArray) -> Converted:
    numbers = column.cast(pa.int64()).cast(pa.float64(), safe=False)
    return pc.divide(numbers, float(TICKS[column.type.unit])), "durations are kept as numbers of seconds"


def _texts(column: pa.ChunkedArray) -> Converted:
    kind = column.type
    if not is_list_of_text(kind):
        raise UnusableColumn(f"is {kind}; {SCALARS}: remove it, or store it as one of these")
    if _is_list_view(kind) or pa.types.is_dictionary(kind.value_type):  # arrow has no sound cast of these
        return pa.chunked_array([pa.array(column.to_pylist(), pa.list_(pa.string()))]), None
    return column.cast(pa.list_(pa.string())), None


def _check_range(ticks: pa.ChunkedArray, first: int, last: int, what: str) -> None:
    """Raises UnusableColumn for the first number that is not within both ends."""
    outside = pc.or_(pc.less(ticks, first), pc.greater(ticks, last))
    row = pc.index(outside, True).as_py()
    if row >= 0:
        raise UnusableColumn(f"{what}: correct it, or make it null", row)


def _is_list_view(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list_view(kind) or pa.types.is_large_list_view(kind))


def _is_list(kind: pa.DataType) -> bool:
    kinds = pa.types
    known = kinds.is_list(kind) or kinds.is_large_list(kind) or kinds.is_fixed_size_list(kind)
    return bool(known) or _is_list_view(kind)


_CONVERSIONS: tuple[tuple[Callable[[pa.DataType], bool], Callable[[pa.ChunkedArray], Converted]], ...] = (
    (pa.types.is_null, _nulls),
    (is_text, _text),
    (pa.types.is_boolean, _same),
    (pa.types.is_integer, _whole),
    (pa.types.is_floating, _real),
    (pa.types.is_decimal, _decimal),
    (pa.types.is_date, _date),
    (pa.types.is_timestamp, _moment),
    (pa.types.is_time, _time_of_day),
    (pa.types.is_duration, _duration),
    (is_bytes, _bytes),
    (_is_list, _texts),
)
