"""A filter's text as tokens: names, strings, numbers, keywords and symbols, each with its place."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from catalog.errors import FilterError
from catalog.filters.faults import Span, fault, shorten

__all__ = ["ESCAPES", "KEYWORDS", "PLAIN_NAME", "Kind", "Token", "read_tokens"]

KEYWORDS = frozenset({"and", "or", "not", "in", "contains", "exists", "true", "false"})
PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
ESCAPES: Mapping[str, str] = {"\\": "\\", '"': '"', "'": "'", "n": "\n", "r": "\r", "t": "\t"}


class Kind(Enum):
    WORD = "word"  # a name without backquotes; the parser says what to do about one that is not plain
    QUOTED_NAME = "quoted name"
    KEYWORD = "keyword"
    STRING = "string"
    NUMBER = "number"
    SYMBOL = "symbol"
    END = "end"


@dataclass(frozen=True, slots=True)
class Token:
    """text: as written, a keyword in small letters; value: what a string, number or quoted name stands for."""

    kind: Kind
    text: str
    value: str | int | float
    span: Span


def read_tokens(text: str) -> Iterator[Token]:
    """The tokens from left to right, at last one of kind END. Raises FilterError where the first bad one begins."""
    position = 0
    while True:
        position = _match(_SPACE, text, position).end()
        if position == len(text):
            yield Token(Kind.END, "", "", Span(position, 0))
            return
        token = _read(text, position)
        yield token
        position += token.span.length


_SPACE = re.compile(r"\s*")
_WORD = re.compile(r"[^\W\d][\w.-]*")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_NUMBER_LIKE = re.compile(r"[-+.]?\d([eE][-+]|[\w.-])*")
_SYMBOL = re.compile(r"==|!=|<=|>=|[=<>(),]")
_MISTAKE = re.compile(r"&&?|\|\|?|=<|=>|<>|!(?!=)|[“”„«»‘’‚≤≥≠≈~:\[\]{}]")
_CORRECTIONS: Mapping[str, str] = {
    "&&": "write and",
    "&": "write and",
    "||": "write or",
    "|": "write or",
    "!": "write not",
    "=<": "write <=",
    "=>": "write >=",
    "<>": "write !=",
    "≤": "write <=",
    "≥": "write >=",
    "≠": "write !=",
    "~": "write contains",
    "≈": "write contains",
    ":": "write =",
    "[": "write (",
    "{": "write (",
    "]": "write )",
    "}": "write )",
    **dict.fromkeys("“”„«»", 'write a straight quote: "'),
    **dict.fromkeys("‘’‚", "write a straight quote: '"),
}


def _match(pattern: re.Pattern[str], text: str, position: int) -> re.Match[str]:
    """For patterns that match wherever they are asked to."""
    found = pattern.match(text, position)
    assert found is not None
    return found


def _read(text: str, position: int) -> Token:
    if text[position] in "\"'":
        return _read_string(text, position)
    if text[position] == "`":
        return _read_quoted_name(text, position)
    if _NUMBER_LIKE.match(text, position):
        return _read_number(text, position)
    if word := _WORD.match(text, position):
        lowered = word[0].lower()
        kind = Kind.KEYWORD if lowered in KEYWORDS else Kind.WORD
        written = lowered if kind is Kind.KEYWORD else word[0]
        return Token(kind, written, written, Span(position, len(word[0])))
    mistake = _MISTAKE.match(text, position)
    symbol = _SYMBOL.match(text, position)
    if mistake or not symbol:
        raise _unknown(mistake[0] if mistake else text[position], position)
    return Token(Kind.SYMBOL, symbol[0], symbol[0], Span(position, len(symbol[0])))


def _unknown(text: str, position: int) -> FilterError:
    correction = _CORRECTIONS.get(text, "put texts in quotes, and column names that have it in backquotes")
    shown = text if text.isprintable() else f"U+{ord(text):04X}"
    return fault(f"{shown} has no meaning here: {correction}", Span(position, len(text)))


def _read_string(text: str, position: int) -> Token:
    quote, parts, at = text[position], [], position + 1
    while at < len(text) and text[at] != quote:
        if text[at] == "\\":
            parts.append(_read_escape(text, at))
            at += 2
        else:
            parts.append(text[at])
            at += 1
    if at >= len(text):
        raise fault(f"this {quote} is never closed: add {quote} where the text ends", Span(position, 1))
    return Token(Kind.STRING, text[position : at + 1], "".join(parts), Span(position, at + 1 - position))


def _read_escape(text: str, position: int) -> str:
    escape = text[position : position + 2]
    if escape[1:] not in ESCAPES:
        known = ", ".join(f"\\{letter}" for letter in ESCAPES)
        raise fault(
            f"{escape} is no escape: those are {known}; write \\\\ for a backslash", Span(position, len(escape))
        )
    return ESCAPES[escape[1:]]


_QUOTED_NAME = re.compile(r"`((?:[^`]|``)*+)`")


def _read_quoted_name(text: str, position: int) -> Token:
    found = _QUOTED_NAME.match(text, position)
    if found is None:
        raise fault("this ` is never closed: add ` where the column name ends", Span(position, 1))
    span = Span(position, len(found[0]))
    if not found[1]:
        raise fault("a column name is missing between the backquotes", span)
    return Token(Kind.QUOTED_NAME, found[0], found[1].replace("``", "`"), span)


def _read_number(text: str, position: int) -> Token:
    written = _match(_NUMBER_LIKE, text, position)[0]
    span = Span(position, len(written))
    if not _NUMBER.fullmatch(written):
        how = "write numbers as in 12, -0.5 or 1e6, and put dates and other texts in quotes"
        raise fault(f"{shorten(written)} is not a number: {how}", span)
    if not any(letter in ".eE" for letter in written):
        return Token(Kind.NUMBER, written, int(written), span)
    value = float(written)
    if math.isinf(value):
        raise fault(f"{shorten(written)} is beyond all numbers: the largest are near 1.8e308", span)
    exact = value.is_integer() and abs(value) <= 2**53
    return Token(Kind.NUMBER, written, int(value) if exact else value, span)
