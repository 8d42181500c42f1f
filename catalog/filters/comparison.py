"""Numbers and points in time compared with a quantity, exactly.

A quantity is a fraction, so it may lie between two values that a column can hold: x < 2.5 is asked as x < 3 of
integers, and x = 2**53 + 1 holds for no float. Every comparison becomes one with a value of the column's own type.

Shapes: N values.
"""

import math
from collections.abc import Iterable
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from catalog.filters.ast import Operator

__all__ = ["COMPARE", "compare", "is_among", "truths"]

COMPARE = {"=": pc.equal, "<": pc.less, "<=": pc.less_equal, ">": pc.greater, ">=": pc.greater_equal}


def compare(values: pa.ChunkedArray, operator: Operator, quantity: Fraction) -> NDArray[np.bool_]:
    """Which integers or doubles stand so to `quantity`, bool [N]; a null or NaN does not."""
    low, high = _neighbours(quantity, values.type)
    bound = high if operator in {"<", ">="} else low
    if operator == "=" and low != high:
        return np.zeros(len(values), np.bool_)
    if not _fits(bound, values.type):
        below = operator in {"<", "<="} if bound > 0 else operator in {">", ">="}
        return truths(pc.is_valid(values)) if below else np.zeros(len(values), np.bool_)
    return truths(COMPARE[operator](values, pa.scalar(bound, values.type)))


def is_among(values: pa.ChunkedArray, quantities: Iterable[Fraction]) -> NDArray[np.bool_]:
    """Which integers or doubles equal one of the quantities, bool [N]; a null or NaN does not."""
    pairs = [_neighbours(quantity, values.type) for quantity in quantities]
    exact = [low for low, high in pairs if low == high and _fits(low, values.type)]
    if 0 in exact and pa.types.is_floating(values.type):
        exact.append(-0.0)  # arrow looks values up by their bits
    return truths(pc.is_in(values, value_set=pa.array(exact, values.type)))


def truths(tested: pa.ChunkedArray | pa.Array) -> NDArray[np.bool_]:
    """An arrow array of booleans as bool [N], null as false."""
    return np.array(pc.fill_null(tested, False), np.bool_)


def _neighbours(quantity: Fraction, kind: pa.DataType) -> tuple[int | float, int | float]:
    """The greatest value of the type up to `quantity` and the least from it on; integers as if they had no bounds."""
    if not pa.types.is_floating(kind):
        return math.floor(quantity), math.ceil(quantity)
    try:
        nearest = float(quantity)
    except OverflowError:
        nearest = math.inf if quantity > 0 else -math.inf
    if math.isinf(nearest):
        return (math.nextafter(nearest, 0), nearest) if nearest > 0 else (nearest, math.nextafter(nearest, 0))
    if Fraction(nearest) == quantity:
        return nearest, nearest
    if nearest < quantity:
        return nearest, math.nextafter(nearest, math.inf)
    return math.nextafter(nearest, -math.inf), nearest


def _fits(value: int | float, kind: pa.DataType) -> bool:
    if isinstance(value, float):
        return True
    limits = np.iinfo(kind.to_pandas_dtype())
    return bool(limits.min <= value <= limits.max)
