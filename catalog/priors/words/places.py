"""Where the words of texts stand, remembered by text: the same few thousand texts are in most answers of a shop."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import tantivy

from catalog.priors.words.index import words_of
from catalog.text.normalization import INVISIBLE

__all__ = ["MAX_KEPT", "Places", "TextPlaces", "pieces"]

MAX_KEPT = 1_000_000
"""Characters of all texts together that are remembered, at some 25 bytes each; beyond that all are forgotten."""
TEXT = 20
"""As many characters as a text takes beside its own."""
MAX_STEMS = 50_000
"""Pieces whose stems are remembered."""
UNKNOWN = ""
"""A word that no query has."""


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """Where the words of one text stand.

    of_stem: the first letters and ends of the pieces that are this stem and no other, one after another.
    of_several: a piece that has several stems begins and ends here, and has these.
    """

    of_stem: Mapping[str, Sequence[int]]
    of_several: Sequence[tuple[int, int, Sequence[str]]]

    def find(self, word_of: Mapping[str, str]) -> list[tuple[int, int, str]]:
        """Where the text has words of a query, in the order in which they stand: begin, end and the query's word.

        word_of: the word of the query that each stem is one of.
        """
        found = []
        for stem in self.of_stem.keys() & word_of.keys():
            word, ends = word_of[stem], iter(self.of_stem[stem])
            found += [(begin, end, word) for begin, end in zip(ends, ends, strict=True)]
        for begin, end, stems in self.of_several:
            word = next((word_of[stem] for stem in stems if stem in word_of), UNKNOWN)
            if word != UNKNOWN:
                found.append((begin, end, word))
        return sorted(found)


class TextPlaces:
    """The places of texts. Threads may share it: what two of them look at together is looked at twice.

    stems: the distinct stems of a piece, in their order.
    """

    def __init__(self, analyzer: tantivy.TextAnalyzer) -> None:
        """analyzer: what divides texts into the words that readings of queries are."""
        self._analyzer = analyzer
        self.stems = lru_cache(MAX_STEMS)(self._stems_of)
        self._known: dict[str, Places] = {}
        self._kept = 0

    def of(self, text: str) -> Places:
        """The places of a text."""
        known = self._known.get(text)
        return known if known is not None else self._learn(text)

    def unknown(self, texts: Collection[str]) -> int:
        """How many characters of some texts are yet to be looked at."""
        return sum(len(text) for text in texts if text not in self._known)

    def _learn(self, text: str) -> Places:
        of_stem: dict[str, list[int]] = {}
        several = []
        for piece in pieces(text):
            stems = self.stems(piece[0])
            if len(stems) == 1:
                of_stem.setdefault(stems[0], []).extend(piece.span())
            elif stems:
                several.append((*piece.span(), stems))
        places = Places({stem: tuple(ends) for stem, ends in of_stem.items()}, several)
        size = len(text) + TEXT
        if self._kept + size > MAX_KEPT:
            self._known, self._kept = {}, 0
        if size <= MAX_KEPT:
            self._known[text] = places
            self._kept += size
        return places

    def _stems_of(self, piece: str) -> tuple[str, ...]:
        return tuple(words_of(self._analyzer, piece))


def pieces(text: str) -> Iterator[re.Match[str]]:
    """The words of a text: letters with their marks and what cannot be seen between them, or digits."""
    return _piece().finditer(text)


@cache
def _piece() -> re.Pattern[str]:
    marks = "".join(letter for letter in map(chr, range(0x300, 0x10000)) if unicodedata.category(letter)[0] == "M")
    return re.compile(rf"\d+|[^\W\d_](?:[^\W\d_]|[{marks}{INVISIBLE}])*")
