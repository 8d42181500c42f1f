"""Which words of a query an item has, and where its texts have them, so that a page can highlight them.

Words match as they do in the search: stemmed, without case and accents, as what a slip or a beginning was read as.
Texts are looked at piece by piece, because a word that was found must lead back to the letters that stand in the text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import tantivy

from catalog.priors.words.index import folded, words_of
from catalog.text.normalization import INVISIBLE
from catalog.text.prompts import MAX_TEXT_CHARACTERS

__all__ = ["TEXT_COLUMNS", "Match", "matches", "pieces"]

TEXT_COLUMNS = ("title", "brand", "categories", "description")
MAX_CHARACTERS = 60_000
"""Characters of all items of an answer together that are looked at; each item has an equal share."""
MAX_MATCHES = 24
"""Places of an item that are told; beyond them only words that it has nowhere before."""


@dataclass(frozen=True, slots=True)
class Match:
    """A word of a query in a text of an item.

    word: as it was typed.
    field: the column, `id` for the item's own.
    start, end: where the word stands, in code points; the end is behind it.
    index: which of the column's texts, where it has several.
    """

    word: str
    field: str
    start: int
    end: int
    index: int | None = None


def matches(
    query: str,
    readings: Sequence[Mapping[str, float]],
    records: Sequence[Mapping[str, Any]],
    analyzer: tantivy.TextAnalyzer,
) -> list[list[Match]]:
    """The matches of each record, by column, in the order in which they stand.

    readings: of each word of the query, as `Readings.of` gives them.
    records: items, with `item_id` and what they have of TEXT_COLUMNS.
    analyzer: what divides texts into the words that readings are.
    """
    asked = _typed_words(query, readings, analyzer)
    wanted, whole = query.strip(), folded(query)
    budget = MAX_CHARACTERS // max(len(records), 1)
    found = []
    for record in records:
        item_id = str(record["item_id"])
        own = [Match(wanted, "id", 0, len(item_id))] if whole and folded(item_id) == whole else []
        found.append(own + _bounded(asked.places(record, budget)) if asked is not None else own)
    return found


class _AskedWords(dict[str, str | None]):
    """The word of a query that each piece of text is, None for others; pieces are looked up once."""

    def __init__(self, word_of: Mapping[str, str], analyzer: tantivy.TextAnalyzer) -> None:
        """word_of: the word of the query, as it was typed, that each reading is one of."""
        self._word_of = word_of
        self._analyzer = analyzer

    def __missing__(self, piece: str) -> str | None:
        stems = words_of(self._analyzer, piece)
        self[piece] = word = next((self._word_of[stem] for stem in stems if stem in self._word_of), None)
        return word

    def places(self, record: Mapping[str, Any], budget: int) -> Iterator[Match]:
        """Where the item has any, in so many characters."""
        for field, index, text in _texts(record, budget):
            for piece in pieces(text):
                if (word := self[piece[0]]) is not None:
                    yield Match(word, field, piece.start(), piece.end(), index)


def _typed_words(
    query: str, readings: Sequence[Mapping[str, float]], analyzer: tantivy.TextAnalyzer
) -> _AskedWords | None:
    """The words of a query; None where it has none. A reading of several words is one of that which it is surest of."""
    parts = [piece[0] for piece in pieces(query)]
    typed = {stem: piece for piece in reversed(parts) for stem in words_of(analyzer, piece)}
    sure: dict[str, tuple[float, str]] = {}
    for of_word in readings:
        first = max(of_word, key=lambda reading: of_word[reading], default="")
        for reading, how_sure in of_word.items():
            if how_sure > sure.get(reading, (0.0, ""))[0]:
                sure[reading] = how_sure, typed.get(first, first)
    return _AskedWords({reading: word for reading, (_, word) in sure.items()}, analyzer) if sure else None


def _texts(record: Mapping[str, Any], budget: int) -> Iterator[tuple[str, int | None, str]]:
    """The texts of an item, no more of them than so many characters: the column, which text of it, and the text."""
    for field in TEXT_COLUMNS:
        value = record.get(field)
        texts = value if isinstance(value, list) else [value]
        for index, text in enumerate(texts):
            if isinstance(text, str):
                part = text[: min(budget, MAX_TEXT_CHARACTERS)]
                budget -= len(part)
                yield field, index if texts is value else None, part


def pieces(text: str) -> Iterator[re.Match[str]]:
    """The words of a text: letters with their marks and what cannot be seen between them, or digits."""
    return _piece().finditer(text)


@cache
def _piece() -> re.Pattern[str]:
    marks = "".join(letter for letter in map(chr, range(0x300, 0x10000)) if unicodedata.category(letter)[0] == "M")
    return re.compile(rf"\d+|[^\W\d_](?:[^\W\d_]|[{marks}{INVISIBLE}])*")


def _bounded(places: Iterator[Match]) -> list[Match]:
    kept: list[Match] = []
    words = set()
    for match in places:
        if len(kept) < MAX_MATCHES or match.word not in words:
            kept.append(match)
            words.add(match.word)
    return kept
