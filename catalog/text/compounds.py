"""Words, and words that are written in one, in two, or with a hyphen or an apostrophe between them.

`T-Shirt`, `tshirt`, `t shirt`, `L'Oréal`, `rock'n'roll` and `rocknroll`: a catalog has one of the forms and people type
another. So the splitter gives the pieces of a text, which are words with hyphens and apostrophes between them, and what
they are when they are joined.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from catalog.text.normalization import INVISIBLE, normalized

__all__ = ["JOINERS", "MAX_JOINED", "PIECE", "Word", "joined_forms", "words_in", "words_of"]

JOINERS = "-'’‘ʼ`´′＇‐‑‒–−&+·•"
"""What stands between the parts of a word, as part of a class of a regular expression."""
MARKS = "\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
WORD = re.compile(rf"\w[\w{MARKS}]*")
TYPED_WORD = re.compile(rf"[{INVISIBLE}]*\w[\w{MARKS}{INVISIBLE}]*")
PIECE = re.compile(rf"{TYPED_WORD.pattern}(?:[{re.escape(JOINERS)}]{TYPED_WORD.pattern})*")
MAX_JOINED = 3
"""Words beside each other that may be one."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a text as it was typed.

    start, end: where it stands there.
    text: its normal form.
    joins: whether only a joiner or spaces stand between it and the word before it.
    """

    start: int
    end: int
    text: str
    joins: bool


def words_of(text: str) -> list[str]:
    """The words of a text in their normal form."""
    # finditer, because a search for all at once would keep other threads from running until it ends
    return [found[0] for found in WORD.finditer(normalized(text))]


def words_in(text: str) -> Iterator[Word]:
    """The words of a text, which is left as it was typed."""
    end = 0
    for found in TYPED_WORD.finditer(text):
        between = text[end : found.start()]
        joins = end > 0 and (between.isspace() or (len(between) == 1 and between in JOINERS))
        yield Word(found.start(), found.end(), normalized(found[0]), joins)
        end = found.end()


def joined_forms(parts: Sequence[str]) -> Iterator[str]:
    """What the parts of a piece are when they are joined: all of them, and every two or three beside each other."""
    yield "".join(parts)
    for length in range(2, min(MAX_JOINED, len(parts) - 1) + 1):
        for start in range(len(parts) - length + 1):
            yield "".join(parts[start : start + length])
