"""Whether a filter suits the columns of a table: all of it is checked before any of it is computed."""

import pyarrow as pa

from catalog.errors import FilterError
from catalog.filters.ast import (
    Comparison,
    Condition,
    Containment,
    Existence,
    Expression,
    Membership,
    Truth,
    Value,
    conditions,
)
from catalog.filters.columns import Holding, ItemColumn, find_column
from catalog.filters.datetimes import read_datetime
from catalog.filters.faults import fault, shorten
from catalog.filters.unparse import write_value

__all__ = ["check"]


def check(expression: Expression, table: pa.Table) -> None:
    """Raises FilterError for the first condition whose column is unknown, or whose test or value does not suit it."""
    for condition in conditions(expression):
        _check_condition(condition, find_column(table, condition.column))


_ORDERED = frozenset({Holding.STRINGS, Holding.NUMBERS, Holding.MOMENTS})


def _check_condition(condition: Condition, column: ItemColumn) -> None:
    holds = f"{column.name} holds {column.holding.value}"
    match condition:
        case Comparison(_, operator, value, span):
            if operator != "=" and column.holding not in _ORDERED:
                raise fault(f"{holds}, which have no order: {operator} cannot compare them, use = or !=", span)
            _check_value(value, column, equality=operator == "=")
        case Membership(_, values):
            for value in values:
                _check_value(value, column)
        case Containment(_, _, span):
            if column.holding is not Holding.STRINGS:
                raise fault(f"{holds}; contains looks into strings: use = or in", span)
        case Truth(reference):
            if column.holding is not Holding.BOOLEANS:
                what = f"{holds} and is no condition by itself"
                raise fault(f"{what}: compare it, as in {column.name} = {_EXAMPLES[column.holding]}", reference.span)
        case Existence():
            pass


_EXAMPLES = {
    Holding.STRINGS: '"text"',
    Holding.NUMBERS: "12.5",
    Holding.BOOLEANS: "true",
    Holding.LISTS: '"text"',
    Holding.MOMENTS: '"2025-12-31T18:00:00Z"',
}


def _check_value(value: Value, column: ItemColumn, *, equality: bool = True) -> None:
    match column.holding, value.value:
        case Holding.STRINGS, int() as number if column.identifies and equality and not isinstance(number, bool):
            return
        case Holding.BOOLEANS, bool():
            return
        case Holding.NUMBERS, (int() | float()) as number if not isinstance(number, bool):
            return
        case ((Holding.STRINGS | Holding.LISTS), str()):
            return
        case Holding.MOMENTS, str() as text if read_datetime(text) is not None:
            return
    raise _unsuitable(value, column)


def _unsuitable(value: Value, column: ItemColumn) -> FilterError:
    written = shorten(write_value(value.value))
    what = f"{column.name} holds {column.holding.value}, so it cannot be compared with {written}"
    match column.holding:
        case Holding.STRINGS | Holding.LISTS:
            how = f'put it in quotes: "{written}"'
        case Holding.MOMENTS:
            how = (
                f"write an ISO 8601 date or time, in quotes and no finer than microseconds: {_EXAMPLES[column.holding]}"
            )
        case Holding.NUMBERS:
            how = f"write a number without quotes, as in {_EXAMPLES[column.holding]}"
        case Holding.BOOLEANS:
            how = "write true or false, without quotes"
    return fault(f"{what}: {how}", value.span)
