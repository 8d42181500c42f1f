"""Recursive descent over the tokens of a filter: one method a rule of the grammar in this package's docstring.

A parser of our own, as what can be wrong is told in words of the place: which bracket a missing one closes, what
`like` or `between` are called here, which condition is one too many, before the rest is read. A generated parser tells
the tokens that it expected, so each of these sentences would need a table of its states.
"""

from collections.abc import Mapping
from typing import NoReturn, cast

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
    Operator,
    Or,
    Truth,
    Value,
)
from catalog.filters.faults import Span, fault, shorten
from catalog.filters.lexer import PLAIN_NAME, Kind, Token, read_tokens
from catalog.filters.unparse import write_name, write_value

__all__ = ["MAX_CONDITIONS", "MAX_DEPTH", "MAX_LIST", "MAX_SCANS", "read_tree"]

MAX_DEPTH = 64  # levels of brackets and `not`
MAX_LIST = 1_000  # values
MAX_CONDITIONS = 32
MAX_SCANS = 8  # `contains` reads every text of its column and costs as much as some thirty comparisons


def read_tree(text: str) -> Expression:
    """The tree of a filter. Raises FilterError at the first mistake of syntax."""
    return _Parser(text).read()


_COMPARISONS = frozenset({"=", "==", "!=", "<", "<=", ">", ">="})
_WORDS_FOR: Mapping[str, str] = {
    "like": "write contains",
    "is": "write =, or exists({}) to ask whether a value is there",
    "between": "write two comparisons, by >= and <=",
    "exists": "write exists({})",
}


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = read_tokens(text)
        self._token = next(self._tokens)
        self._depth = 0
        self._conditions = 0
        self._scans = 0

    def read(self) -> Expression:
        if self._ended():
            raise fault("the filter is empty: write a condition, as in price < 200", self._token.span)
        expression = self._any()
        if self._at(")"):
            raise fault("this ) closes nothing: remove it, or add the ( that it closes", self._token.span)
        if not self._ended():
            self._fail("and, or, or the end")
        return expression

    def _any(self) -> Expression:
        terms = [self._all()]
        while self._accept("or"):
            terms.append(self._all())
        return terms[0] if len(terms) == 1 else Or(tuple(terms))

    def _all(self) -> Expression:
        terms = [self._negation()]
        while self._accept("and"):
            terms.append(self._negation())
        return terms[0] if len(terms) == 1 else And(tuple(terms))

    def _negation(self) -> Expression:
        if not self._at("not"):
            return self._condition()
        self._descend()
        negation = Not(self._negation())
        self._depth -= 1
        return negation

    def _condition(self) -> Expression:
        if self._at("("):
            return self._group()
        self._conditions += 1
        if self._conditions > MAX_CONDITIONS:
            what = f"this is condition {self._conditions}, a filter has at most {MAX_CONDITIONS}"
            raise fault(f"{what}: leave out what follows, or ask for several values by in (…)", self._token.span)
        if self._accept("exists"):
            opened = self._expect("(", "a ( and the column").span
            column = self._column()
            self._close(opened)
            return Existence(column)
        return self._test(self._column())

    def _group(self) -> Expression:
        opened = self._descend().span
        expression = self._any()
        self._close(opened, "and, or, or ")
        self._depth -= 1
        return expression

    def _column(self) -> Column:
        token = self._token
        if token.kind is Kind.WORD and not PLAIN_NAME.fullmatch(token.text):
            what = f"{shorten(token.text)} has other characters than A-Z, a-z, 0-9, _ and ."
            raise fault(f"{what}: put the column name in backquotes: `{shorten(token.text)}`", token.span)
        if token.kind not in {Kind.WORD, Kind.QUOTED_NAME}:
            self._fail("a column name", _instead_of_column(token))
        return Column(str(self._advance().value), token.span)

    def _test(self, column: Column) -> Expression:
        if self._token.kind is Kind.SYMBOL and self._token.text in _COMPARISONS:
            return self._comparison(column)
        denied = self._accept("not")
        if self._at("in") or self._at("contains"):
            test: Condition = self._membership(column) if self._at("in") else self._containment(column)
            return Not(test) if denied else test
        if denied:
            self._fail("in or contains after not")
        if hint := _WORDS_FOR.get(self._token.text.lower()):
            how = hint.format(shorten(write_name(column.name)))
            raise fault(f"{self._token.text} cannot stand after a column: {how}", self._token.span)
        if not self._ended() and not any(self._at(text) for text in ("and", "or", ")")):
            self._fail("=, !=, <, <=, >, >=, in or contains after the column")
        return Truth(column)

    def _comparison(self, column: Column) -> Expression:
        token = self._advance()
        value = self._value()
        if token.text == "!=":
            return Not(Comparison(column, "=", value, token.span))
        operator = "=" if token.text == "==" else token.text
        return Comparison(column, cast(Operator, operator), value, token.span)

    def _membership(self, column: Column) -> Membership:
        self._advance()
        opened = self._expect("(", "a ( and the list of values").span
        values = [self._value()]
        while self._accept(","):
            values.append(self._value())
            if len(values) > MAX_LIST:
                raise fault(f"a list has at most {MAX_LIST:,} values: leave out what follows", values[-1].span)
        self._close(opened, "a comma or ")
        return Membership(column, tuple(values))

    def _containment(self, column: Column) -> Containment:
        span = self._advance().span
        self._scans += 1
        if self._scans > MAX_SCANS:
            what = f"this is contains number {self._scans}, a filter has at most {MAX_SCANS}"
            raise fault(f"{what}: look for fewer texts, or compare whole values by = or in", span)
        value = self._value()
        if not isinstance(value.value, str):
            written = write_value(value.value)
            raise fault(f'contains looks for text: put {shorten(written)} in quotes: "{shorten(written)}"', value.span)
        return Containment(column, value, span)

    def _value(self) -> Value:
        token = self._token
        if self._accept("true") or self._accept("false"):
            return Value(token.text == "true", token.span)
        if token.kind not in {Kind.STRING, Kind.NUMBER}:
            self._fail("a value", _instead_of_value(token))
        return Value(self._advance().value, token.span)

    def _close(self, opened: Span, what: str = "") -> None:
        if not self._at(")"):
            self._fail(f"{what}the ) that closes the ( at character {opened.position + 1}")
        self._advance()

    def _descend(self) -> Token:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise fault(f"more than {MAX_DEPTH} brackets and nots lie around this: simplify", self._token.span)
        return self._advance()

    def _expect(self, symbol: str, what: str) -> Token:
        if not self._at(symbol):
            self._fail(what)
        return self._advance()

    def _ended(self) -> bool:
        return self._token.kind is Kind.END

    def _at(self, text: str) -> bool:
        return self._token.kind in {Kind.KEYWORD, Kind.SYMBOL} and self._token.text == text

    def _accept(self, text: str) -> bool:
        found = self._at(text)
        if found:
            self._advance()
        return found

    def _advance(self) -> Token:
        token = self._token
        self._token = next(self._tokens)
        return token

    def _fail(self, expected: str, hint: str | None = None) -> NoReturn:
        found = "the end" if self._ended() else shorten(self._token.text)
        raise fault(f"expected {expected}, found {found}" + (f": {hint}" if hint else ""), self._token.span)


def _instead_of_column(token: Token) -> str | None:
    if token.kind in {Kind.STRING, Kind.NUMBER} or token.text in {"true", "false"}:
        return "a condition begins with its column, as in price < 200; a column name has no quotes, or backquotes"
    if token.kind is Kind.KEYWORD and token.text in {"in", "contains"}:
        return f"write the column before it, or `{token.text}` in backquotes for the column of this name"
    return None


def _instead_of_value(token: Token) -> str | None:
    if token.kind is Kind.WORD and token.text.lower() in {"null", "none", "nil"}:
        return "ask whether a value is missing by not exists(…)"
    if token.kind in {Kind.WORD, Kind.KEYWORD}:
        return f'put text in quotes: "{shorten(token.text)}"'
    if token.kind is Kind.QUOTED_NAME:
        return "a column is compared with a value, not with a column; text has straight quotes"
    return None
