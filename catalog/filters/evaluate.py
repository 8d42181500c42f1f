"""Which items meet a filter, computed column by column.

Shapes: N items or values, E elements of one chunk of a column of lists.
"""

import operator
from fractions import Fraction
from functools import reduce
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from catalog.filters.ast import (
    And,
    Comparison,
    Condition,
    Containment,
    Existence,
    Expression,
    Membership,
    Not,
    Or,
    Truth,
    Value,
)
from catalog.filters.columns import Holding, ItemColumn, find_column
from catalog.filters.comparison import COMPARE, compare, is_among, truths
from catalog.filters.datetimes import read_datetime, ticks_per_second

__all__ = ["mask"]

Mask = NDArray[np.bool_]
Lowered: TypeAlias = dict[str, pa.ChunkedArray]
"""By column: its texts in small letters, which all `contains` of one filter share."""


def mask(expression: Expression, table: pa.Table) -> Mask:
    """Whether each row meets the expression, bool [N]. `checks.check` must have passed both."""
    return _mask(expression, table, {})


def _mask(expression: Expression, table: pa.Table, lowered: Lowered) -> Mask:
    match expression:
        case And(terms):
            return reduce(operator.and_, (_mask(term, table, lowered) for term in terms))
        case Or(terms):
            return reduce(operator.or_, (_mask(term, table, lowered) for term in terms))
        case Not(term):
            return ~_mask(term, table, lowered)
        case Containment(reference, value):
            return _met_by_texts(str(value.value), find_column(table, reference), lowered)
        case _:
            return _met(expression, find_column(table, expression.column))


def _met_by_texts(wanted: str, column: ItemColumn, lowered: Lowered) -> Mask:
    if column.name not in lowered:
        lowered[column.name] = pc.utf8_lower(_comparable(column.values))
    # Not match_substring(ignore_case=True): it makes a regular expression, which takes seconds on hard texts.
    return truths(pc.match_substring(lowered[column.name], pc.utf8_lower(pa.scalar(wanted)).as_py()))


def _met(condition: Condition, column: ItemColumn) -> Mask:
    values = _comparable(column.values)
    if isinstance(condition, Existence) and column.holding is not Holding.LISTS:
        return ~truths(pc.is_null(values, nan_is_null=True))
    match column.holding:
        case Holding.NUMBERS:
            return _met_by_quantities(condition, values, Fraction(1))
        case Holding.MOMENTS:
            ticks = values.cast(pa.int32() if pa.types.is_date32(values.type) else pa.int64())
            return _met_by_quantities(condition, ticks, ticks_per_second(values.type))
        case Holding.LISTS:
            return np.concatenate([np.zeros(0, np.bool_), *(_met_by_lists(condition, part) for part in values.chunks)])
        case Holding.STRINGS | Holding.BOOLEANS:
            return _met_by_values(condition, values)


def _comparable(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Arrow has fewer kernels for views and half floats; a cast to the wider type changes no value."""
    if pa.types.is_string_view(values.type):
        return values.cast(pa.large_string())
    if pa.types.is_floating(values.type):
        return values.cast(pa.float64())
    return values


def _met_by_values(condition: Condition, values: pa.ChunkedArray | pa.Array) -> Mask:
    """For strings and booleans."""
    match condition:
        case Truth():
            return truths(values)
        case Existence():
            return truths(pc.is_valid(values))
        case Comparison(_, comparison, value):
            return truths(COMPARE[comparison](values, pa.scalar(_stored(value, values.type), values.type)))
        case Membership(_, members):
            return truths(
                pc.is_in(values, value_set=pa.array([_stored(member, values.type) for member in members], values.type))
            )
    raise AssertionError(f"{condition} has not been checked")


def _stored(value: Value, kind: pa.DataType) -> str | bool | int | float:
    """The value as a column of strings or booleans holds it: ids may be written as whole numbers."""
    return value.value if pa.types.is_boolean(kind) or isinstance(value.value, str) else str(value.value)


def _met_by_quantities(condition: Condition, values: pa.ChunkedArray, scale: Fraction) -> Mask:
    """For numbers and, counted in units of which `scale` make a second, points in time."""
    match condition:
        case Comparison(_, comparison, value):
            return compare(values, comparison, _quantity(value) * scale)
        case Membership(_, members):
            return is_among(values, [_quantity(member) * scale for member in members])
    raise AssertionError(f"{condition} has not been checked")


def _quantity(value: Value) -> Fraction:
    quantity = read_datetime(value.value) if isinstance(value.value, str) else Fraction(value.value)
    assert quantity is not None  # the checks have read it
    return quantity


def _met_by_lists(condition: Condition, lists: pa.Array) -> Mask:
    """A list meets a condition iff one of its elements does; a missing element meets none."""
    element_E = _met_by_values(condition, lists.flatten())
    length_N = np.array(pc.fill_null(pc.list_value_length(lists), 0))
    met_N = np.zeros(len(lists), np.bool_)
    met_N[np.searchsorted(length_N.cumsum(dtype=np.int64), np.flatnonzero(element_E), side="right")] = True
    return met_N
