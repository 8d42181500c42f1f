"""Readings of the words that somebody typed: a word that no item has may be a slip for one that items have.

V words of the vocabulary.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache

import tantivy

from catalog.priors.words.index import analyzer, words_of
from catalog.text.delete_index import DeleteIndex

__all__ = ["Readings"]

MIN_LETTERS = 4
"""Letters of the shortest word that may be a slip."""
LONG = 8
"""Letters from which on a word may be two edits away from what was meant."""
MAX_WORDS = 32
"""Words of a query that are read; the rest is ignored."""
MAX_READINGS = 3
MAX_STEMS = 50_000
"""Words whose stems are remembered."""
SURE = 0.8
"""How sure the nearest word is, to the power of its distance; of others half as much."""


class Readings:
    """Reads queries with the words of a catalog.

    language: whose stemmer joins the forms of a word, as in `WordSettings`.

    Words of deleted items stay known.
    """

    def __init__(self, texts: Iterable[str], language: str | None) -> None:
        """texts: of all items."""
        self._surface, self._stemmed = analyzer(None), analyzer(language)
        self._items = Counter(word for text in texts for word in words_of(self._surface, text))
        self._stem = lru_cache(MAX_STEMS)(self._stem_of)
        self._stems = {self._stem_of(word) for word in self._items}
        self._near = [DeleteIndex([word for word in self._items if _may_be_meant(word)])]

    @property
    def analyzer(self) -> tantivy.TextAnalyzer:
        """What divides texts into the words that readings are."""
        return self._stemmed

    def learn(self, texts: Iterable[str]) -> None:
        """Know the words of further items too.

        New words are indexed beside the others; indexes of about one size become one, so that there are few.
        """
        counts = Counter(word for text in texts for word in words_of(self._surface, text))
        new = [word for word in counts if word not in self._items]
        self._items.update(counts)
        self._stems.update(map(self._stem_of, new))
        words = [word for word in new if _may_be_meant(word)]
        if words:
            near = self._near.copy()
            while len(near) > 1 and len(near[-1]) <= 2 * len(words):
                words += near.pop().words
            self._near = [*near, DeleteIndex(words)]

    def of(self, query: str) -> list[Mapping[str, float]]:
        """For each distinct word of a query its readings, each with how sure it is: 1 for what was typed."""
        return [self._readings(word) for word in words_of(self._surface, query)[:MAX_WORDS]]

    def _readings(self, word: str) -> dict[str, float]:
        readings = {self._stem(word): 1.0}
        if len(word) < MIN_LETTERS or not word.isalpha() or self._stem(word) in self._stems:
            return readings
        edits = 2 if len(word) >= LONG else 1
        near = [pair for index in self._near for pair in index.near(word, edits)]
        ranked = sorted(near, key=lambda pair: (pair[1], pair[0][0] != word[0], -self._items[pair[0]], pair[0]))
        for place, (known, distance) in enumerate(ranked[:MAX_READINGS]):
            sure = SURE**distance * (1.0 if place == 0 else 0.5)
            readings[self._stem(known)] = max(sure, readings.get(self._stem(known), 0.0))
        return readings

    def _stem_of(self, word: str) -> str:
        return next(iter(words_of(self._stemmed, word)), word)


def _may_be_meant(word: str) -> bool:
    return len(word) >= MIN_LETTERS - 1 and word.isalpha()
