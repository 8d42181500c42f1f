"""Terms: the words and short phrases of queries, by their stems, as synonyms are proposed of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from catalog.priors.words.index import analyzer, words_of
from catalog.priors.words.places import pieces

__all__ = ["Stems", "Term", "TermsOf"]

Stems = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Term:
    """A word or phrase of a query. typed: as it stands there. beside: the stems before and after it."""

    typed: str
    beside: tuple[str, str]


class TermsOf:
    """The words and phrases of a query by their stems."""

    def __init__(self, language: str | None, max_words: int) -> None:
        self._words = analyzer(language)
        self._max_words = max_words
        self._stem_of: dict[str, str] = {}
        self._known: dict[str, Mapping[Stems, Term]] = {}

    def __call__(self, query: str) -> Mapping[Stems, Term]:
        if (found := self._known.get(query)) is None:
            found = self._known[query] = self._read(query)
        return found

    def _read(self, query: str) -> dict[Stems, Term]:
        words = [piece[0].lower() for piece in pieces(query)]
        stems = [self._stem(word) for word in words]
        around = ["", *stems, ""]
        return {
            tuple(stems[begin:end]): Term(" ".join(words[begin:end]), (around[begin], around[end + 1]))
            for length in range(1, self._max_words + 1)
            for begin in range(len(words) - length + 1)
            for end in (begin + length,)
            if not all(stem.isdigit() for stem in stems[begin:end])
        }

    def _stem(self, word: str) -> str:
        if (stem := self._stem_of.get(word)) is None:
            stem = self._stem_of[word] = next(iter(words_of(self._words, word)), word)
        return stem
