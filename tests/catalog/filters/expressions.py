"""Random filters: trees over any columns, trees that suit one table, and the many ways to spell one."""

from collections.abc import Sequence
from random import Random
from typing import Any

from hypothesis import strategies as st

from catalog.filters.ast import (
    And,
    Column,
    Comparison,
    Containment,
    Existence,
    Expression,
    Membership,
    Not,
    Operator,
    Or,
    Truth,
    Value,
)
from catalog.filters.faults import Span

NOWHERE = Span(0, 0)
OPERATORS: Sequence[Operator] = ("=", "<", "<=", ">", ">=")

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.sampled_from(
    ['"', "'", "\\", "\n\t\r", "\\n"]
)
column_names = texts.filter(bool) | st.sampled_from(["price", "And", "exists", "a.b", "_", "`", "``a", "größe", "true"])
integers = st.integers(-(10**30), 10**30) | st.sampled_from([2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63), 2**64 - 1])
fractions = st.floats(allow_nan=False, allow_infinity=False)


def as_read(number: float) -> int | float:
    """The number as it is after reading: an int where a float is exactly one."""
    return int(number) if float(number).is_integer() and abs(number) <= 2**53 else number


def value(content: Any) -> Value:
    return Value(content, NOWHERE)


values = st.builds(value, texts | st.booleans() | integers | fractions.map(as_read))


def combined(conditions: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    """Trees of `and`, `or` and `not` over the conditions."""

    def extend(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
        several = st.lists(inner, min_size=2, max_size=4).map(tuple)
        return st.builds(Not, inner) | st.builds(And, several) | st.builds(Or, several)

    return st.recursive(conditions, extend, max_leaves=12)


def conditions(columns: st.SearchStrategy[str]) -> st.SearchStrategy[Expression]:
    """Conditions that are right in syntax, though hardly in types."""
    column = st.builds(Column, columns, st.just(NOWHERE))
    return st.one_of(
        st.builds(Comparison, column, st.sampled_from(OPERATORS), values, st.just(NOWHERE)),
        st.builds(Membership, column, st.lists(values, min_size=1, max_size=4).map(tuple)),
        st.builds(Containment, column, st.builds(value, texts), st.just(NOWHERE)),
        st.builds(Existence, column),
        st.builds(Truth, column),
    )


trees = combined(conditions(column_names))


def spell(tree: Expression, random: Random) -> str:
    """One of the many texts of a tree: brackets, white space, quotes and letter case as chance will have them."""
    text = _spell(tree, random)
    return _gap(random) + (f"({text})" if random.random() < 0.2 else text) + _gap(random)


def _spell(tree: Expression, random: Random) -> str:
    match tree:
        case Or(terms):
            return f" {_word('or', random)} ".join(_spell_term(term, random, Or) for term in terms)
        case And(terms):
            return f" {_word('and', random)} ".join(_spell_term(term, random, Or, And) for term in terms)
        case Not(Comparison(column, "=", literal)) if random.random() < 0.5:
            return f"{_name(column)}{_gap(random)}!={_gap(random)}{_value(literal, random)}"
        case Not(Membership(column, literals)) if random.random() < 0.5:
            return f"{_name(column)} {_word('not', random)} {_members(literals, random)}"
        case Not(Containment(column, literal)) if random.random() < 0.5:
            return f"{_name(column)} {_word('not', random)} {_word('contains', random)} {_value(literal, random)}"
        case Not(term):
            return f"{_word('not', random)} {_spell_term(term, random, Or, And)}"
        case Comparison(column, operator, literal):
            written = random.choice(["=", "=="]) if operator == "=" else operator
            return f"{_name(column)}{_gap(random)}{written}{_gap(random)}{_value(literal, random)}"
        case Membership(column, literals):
            return f"{_name(column)} {_members(literals, random)}"
        case Containment(column, literal):
            return f"{_name(column)} {_word('contains', random)} {_value(literal, random)}"
        case Existence(column):
            return f"{_word('exists', random)}{_gap(random)}({_gap(random)}{_name(column)}{_gap(random)})"
        case Truth(column):
            return _name(column)


def _spell_term(term: Expression, random: Random, *looser: type) -> str:
    bracketed = isinstance(term, looser) or random.random() < 0.1
    return f"({_gap(random)}{_spell(term, random)}{_gap(random)})" if bracketed else _spell(term, random)


def _members(literals: Sequence[Value], random: Random) -> str:
    inside = f"{_gap(random)},{_gap(random)}".join(_value(literal, random) for literal in literals)
    return f"{_word('in', random)}{_gap(random)}({inside}{_gap(random)})"


def _gap(random: Random) -> str:
    return "".join(random.choices([" ", "\t", "\n", " "], k=random.randrange(3)))


def _word(word: str, random: Random) -> str:
    return random.choice([word, word.upper(), word.title()])


def _name(column: Column) -> str:
    return "`" + column.name.replace("`", "``") + "`"


def _value(literal: Value, random: Random) -> str:
    content = literal.value
    if isinstance(content, bool):
        return _word(str(content).lower(), random)
    if isinstance(content, str):
        quote = random.choice("\"'")
        return quote + content.replace("\\", "\\\\").replace(quote, "\\" + quote) + quote
    if isinstance(content, int) and abs(content) <= 2**53:
        return random.choice([str(content), f"{content}.0", f"{content}e0", f"{content}.00E+00"])
    return random.choice([repr(content), repr(content).upper()])
