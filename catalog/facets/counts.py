"""What is told of a column: its commonest values with their counts, and of numbers and times the range and the mean.

Shapes: N items, V distinct values, T values that are told.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from catalog.facets.codes import ColumnCodes
from catalog.filters.columns import Holding

__all__ = ["MAX_VALUES", "Facet", "Stats", "count_facet", "value_name"]

MAX_VALUES = 100
"""Values of a column that are told, at most."""
EXACT = 1 << 62

Number: TypeAlias = int | float


@dataclass(frozen=True, slots=True)
class Stats:
    """The range and the mean of the values of some items, those without one aside.

    min, max: as items have them; times as text, in ISO 8601.
    avg: of times a time.
    sum: None of times, and where no double is so great.
    """

    min: Number | str
    max: Number | str
    avg: Number | str
    sum: Number | None


@dataclass(frozen=True, slots=True)
class Facet:
    """What a column holds among some items.

    distribution: how many items have each value, the commonest first and equally common ones in the order of values.
        Of numbers and times all, or none where there are too many to tell.
    distinct: how many values there are, told or not.
    stats: of numbers and times; None of other columns, and where no item has a value.
    """

    distribution: Mapping[str, int]
    distinct: int
    stats: Stats | None = None


def count_facet(codes: ColumnCodes, counted_N: NDArray[np.bool_], most: int) -> Facet:
    """The facet of a column among some items. counted_N: which items; most: values that are told."""
    count_V = codes.counts(counted_N)
    found_V = np.flatnonzero(count_V)
    ordered = codes.holding in {Holding.NUMBERS, Holding.MOMENTS}
    told_T = found_V[:0] if ordered and len(found_V) > most else _commonest(found_V, count_V, most)
    names = map(value_name, codes.values.take(pa.array(told_T)).to_pylist())
    distribution = dict(zip(names, count_V[told_T].tolist(), strict=True))
    stats = _stats(codes.values.take(pa.array(found_V)), count_V[found_V]) if ordered and len(found_V) else None
    return Facet(distribution, len(found_V), stats)


def value_name(value: str | bool | int | float | date) -> str:
    """A value as the key of a distribution: a number as JSON has it and a whole one without a point; times in ISO
    8601."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return value.isoformat() if isinstance(value, date) else str(value)


def _commonest(found_V: NDArray[np.int64], count_V: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    if len(found_V) > most:  # those that are rarer than so many others are out of the question
        least = np.partition(count_V[found_V], len(found_V) - most)[len(found_V) - most]
        found_V = found_V[count_V[found_V] >= least]
    order = np.argsort(-count_V[found_V], kind="stable")
    return found_V[order[:most]]


def _stats(values: pa.Array, count_V: NDArray[np.int64]) -> Stats:
    """values: those that occur, ascending."""
    total, low, high = int(count_V.sum()), values[0].as_py(), values[-1].as_py()
    if isinstance(low, date):
        ticks = values.cast(pa.int32() if pa.types.is_date32(values.type) else pa.int64())
        mean = pa.array([_whole_sum(ticks, count_V) // total], pa.int64()).cast(ticks.type).cast(values.type)
        return Stats(value_name(low), value_name(high), value_name(mean[0].as_py()), None)
    if isinstance(low, int):
        exact = _whole_sum(values, count_V)
        return Stats(low, high, exact / total, exact if abs(exact) < EXACT else float(exact))
    value_V = values.to_numpy()
    with np.errstate(over="ignore"):
        added = float((value_V * count_V).sum())  # by `@` threads of BLAS would wait for one another, for milliseconds
    mean = added / total if math.isfinite(added) else float((value_V * (count_V / total)).sum())
    mean = min(max(mean, low), high)  # where rounding may take it
    return Stats(low, high, mean, added if math.isfinite(added) else None)


def _whole_sum(values: pa.Array, count_V: NDArray[np.int64]) -> int:
    """The sum of integers, each so many times, however great."""
    value_V, total = values.to_numpy(), int(count_V.sum())
    if max(abs(int(value_V[0])), abs(int(value_V[-1]))) * total < EXACT:
        return int(value_V.astype(np.int64) @ count_V)
    return sum(value * count for value, count in zip(value_V.tolist(), count_V.tolist(), strict=True))
