"""A filter's tree written out again: one text for all that differ in white space, quotes and the case of keywords."""

from catalog.filters.ast import (
    And,
    Column,
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
from catalog.filters.lexer import ESCAPES, KEYWORDS, PLAIN_NAME

__all__ = ["write", "write_name", "write_value"]


def write(expression: Expression) -> str:
    """The canonical text; it is read as this very tree."""
    match expression:
        case Or(terms):
            return " or ".join(_within(term, Or) for term in terms)
        case And(terms):
            return " and ".join(_within(term, And, Or) for term in terms)
        case Not(Comparison() | Membership() | Containment() as term):
            return _write_condition(term, denied=True)
        case Not(term):
            return f"not {_within(term, And, Or)}"
        case _:
            return _write_condition(expression, denied=False)


def write_name(name: str) -> str:
    """A column's name as a filter must have it, in backquotes if need be."""
    if PLAIN_NAME.fullmatch(name) and name.lower() not in KEYWORDS:
        return name
    return "`" + name.replace("`", "``") + "`"


def write_value(value: str | bool | int | float) -> str:
    """A literal as a filter must have it."""
    if isinstance(value, str):
        return '"' + value.translate(_ESCAPED) + '"'
    return repr(value).lower()  # True and False


_ESCAPED = str.maketrans({meant: f"\\{letter}" for letter, meant in ESCAPES.items() if letter != "'"})


def _within(term: Expression, *looser: type) -> str:
    return f"({write(term)})" if isinstance(term, looser) else write(term)


def _write_condition(condition: Condition, *, denied: bool) -> str:
    name, denial = _name(condition.column), "not " if denied else ""
    match condition:
        case Comparison(_, "=", value):
            return f"{name} {'!=' if denied else '='} {_value(value)}"
        case Comparison(_, operator, value):
            return f"{denial}{name} {operator} {_value(value)}"
        case Membership(_, values):
            return f"{name} {denial}in ({', '.join(map(_value, values))})"
        case Containment(_, value):
            return f"{name} {denial}contains {_value(value)}"
        case Existence():
            return f"exists({name})"
        case Truth():
            return name


def _name(column: Column) -> str:
    return write_name(column.name)


def _value(value: Value) -> str:
    return write_value(value.value)
