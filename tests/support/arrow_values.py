"""Hypothesis strategies of Arrow columns: of every type that a file may hold, and values to its very ends."""

from decimal import Context, Decimal
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

__all__ = ["KEPT_KINDS", "ODD_KINDS", "columns"]

_CONTEXT = Context(prec=80)
DAY = 24 * 60 * 60
FIRST, LAST = -719_162 * DAY, 2_932_897 * DAY - 1  # seconds of the years 1 to 9999
TICKS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
ZONES = (None, "UTC", "America/New_York", "+14:00", "Mars/Olympus")
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
LISTS = st.lists(st.none() | TEXT, max_size=3)

KEPT_KINDS: tuple[pa.DataType, ...] = (
    *(pa.timestamp(unit, zone) for unit in TICKS for zone in ZONES),
    pa.date32(),
    pa.date64(),
    *(pa.time32(unit) for unit in ("s", "ms")),
    *(pa.time64(unit) for unit in ("us", "ns")),
    *(pa.duration(unit) for unit in TICKS),
    *(pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()),
    *(pa.float16(), pa.float32(), pa.float64()),
    *(pa.decimal32(9, 2), pa.decimal64(18, 0), pa.decimal128(38, 0), pa.decimal256(60, 20)),
    *(pa.binary(), pa.large_binary(), pa.binary_view(), pa.binary(3)),
    *(pa.string(), pa.large_string(), pa.string_view(), pa.bool_(), pa.null()),
    *(pa.list_(pa.string()), pa.large_list(pa.large_string()), pa.list_view(pa.string())),
    *(pa.dictionary(pa.int32(), pa.string()), pa.dictionary(pa.int32(), pa.float64())),
)
"""Kinds of columns that a file may hold, and that are kept."""

ODD_KINDS: tuple[pa.DataType, ...] = (
    pa.struct({"a": pa.int64()}),
    pa.map_(pa.string(), pa.int64()),
    pa.list_(pa.int64()),
    pa.list_(pa.list_(pa.string())),
    pa.list_(pa.struct({"url": pa.string()})),
)
"""Kinds that no further column may have."""


def columns(kind: pa.DataType, rows: int, *, odd: bool = False) -> st.SearchStrategy[pa.Array]:
    """Columns of a type. odd: with values that no later part could hold, such as the year 30,000."""
    return st.lists(st.none() | _values(kind, odd=odd), min_size=rows, max_size=rows).map(
        lambda values: _array(values, kind)
    )


def _array(values: list[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_temporal(kind):
        return pa.array(values, pa.int32() if kind.bit_width == 32 else pa.int64()).view(kind)
    return pa.array(values, kind)


def _values(kind: pa.DataType, *, odd: bool) -> st.SearchStrategy[Any]:
    kinds = pa.types
    if kinds.is_temporal(kind):
        first, last = _ends(kind)
        if odd:
            first, last = -(2 ** (kind.bit_width - 1)), 2 ** (kind.bit_width - 1) - 1
        return st.integers(first, last)
    if kinds.is_integer(kind):
        signed = kinds.is_signed_integer(kind)
        return st.integers(-(2 ** (kind.bit_width - 1)) if signed else 0, 2 ** (kind.bit_width - signed) - 1)
    if kinds.is_floating(kind):
        return st.floats(width=kind.bit_width)
    if kinds.is_decimal(kind):
        most = 10**kind.precision - 1
        return st.integers(-most, most).map(lambda digits: Decimal(digits).scaleb(-kind.scale, _CONTEXT))
    if kinds.is_fixed_size_binary(kind):
        return st.binary(min_size=kind.byte_width, max_size=kind.byte_width)
    if kinds.is_binary(kind) or kinds.is_large_binary(kind) or kinds.is_binary_view(kind):
        return st.binary(max_size=8) | TEXT.map(str.encode)
    if kinds.is_boolean(kind):
        return st.booleans()
    if kinds.is_dictionary(kind):
        return _values(kind.value_type, odd=odd)
    if kinds.is_map(kind):
        return st.lists(st.tuples(TEXT, _values(kind.item_type, odd=odd)), max_size=2)
    if kinds.is_struct(kind):
        return st.fixed_dictionaries({field.name: _values(field.type, odd=odd) for field in kind})
    if kinds.is_nested(kind):
        return st.lists(st.none() | _values(kind.value_type, odd=odd), max_size=3)
    return st.nothing() if kinds.is_null(kind) else TEXT


def _ends(kind: pa.DataType) -> tuple[int, int]:
    kinds = pa.types
    if kinds.is_date32(kind):
        return FIRST // DAY, LAST // DAY
    ticks = 1000 if kinds.is_date64(kind) else TICKS[kind.unit]
    if kinds.is_time(kind):
        return 0, DAY * ticks - 1
    if kinds.is_duration(kind) or ticks == TICKS["ns"]:
        return -(2**63), 2**63 - 1
    return FIRST * ticks, (LAST + 1) * ticks - 1
