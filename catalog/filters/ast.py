"""The syntax tree of a filter.

`!=`, `not in` and `not contains` have no node of their own: each is `Not` of what it denies. Two trees are equal iff
they mean the same text, white space and quotes apart: places are left out of comparisons.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from catalog.filters.faults import Span

__all__ = [
    "And",
    "Column",
    "Comparison",
    "Condition",
    "Containment",
    "Existence",
    "Expression",
    "Membership",
    "Not",
    "Operator",
    "Or",
    "Truth",
    "Value",
    "conditions",
]

Operator = Literal["=", "<", "<=", ">", ">="]


@dataclass(frozen=True, slots=True)
class Column:
    """The name of a column, as written."""

    name: str
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Value:
    """A literal. Whole numbers are ints wherever a float would be exact, so `5.0` and `5` are one value."""

    value: str | bool | int | float
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Comparison:
    column: Column
    operator: Operator
    value: Value
    span: Span = field(compare=False, repr=False)  # of the operator


@dataclass(frozen=True, slots=True)
class Membership:
    column: Column
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Containment:
    column: Column
    value: Value
    span: Span = field(compare=False, repr=False)  # of the word `contains`


@dataclass(frozen=True, slots=True)
class Existence:
    column: Column


@dataclass(frozen=True, slots=True)
class Truth:
    """A boolean column alone."""

    column: Column


Condition: TypeAlias = Comparison | Membership | Containment | Existence | Truth


@dataclass(frozen=True, slots=True)
class Not:
    term: "Expression"


@dataclass(frozen=True, slots=True)
class And:
    terms: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Or:
    terms: tuple["Expression", ...]


Expression: TypeAlias = And | Or | Not | Condition


def conditions(expression: Expression) -> Iterator[Condition]:
    """Everything that the expression asks of items, in its order."""
    match expression:
        case And(terms) | Or(terms):
            for term in terms:
                yield from conditions(term)
        case Not(term):
            yield from conditions(term)
        case _:
            yield expression
