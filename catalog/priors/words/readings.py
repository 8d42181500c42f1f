"""Readings of the words that somebody typed: one that no item has may be a slip for one that items have.

Two words that items write in one are read so (`tool box`, `toolbox`), and one that no item has as the two that it
consists of (`deckboard`, `deck board`).

The last word may also be the beginning of one, as somebody may not have finished typing, and a word after a number may
be another way to write a unit (`catalog/text/units.py`).

V words of the vocabulary.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from heapq import nlargest
from itertools import pairwise

import tantivy

from catalog.priors.words.index import analyzer, divided, words_of
from catalog.text.delete_index import DeleteIndex
from catalog.text.prompts import MAX_TEXT_CHARACTERS
from catalog.text.units import Units, with_signs

__all__ = ["Readings"]

MIN_LETTERS = 4
"""Letters of the shortest word that may be a slip."""
LONG = 8
"""Letters from which on a word may be two edits away from what was meant."""
MAX_WORDS = 32
"""Words of a query that are read; the rest is ignored."""
MAX_READINGS = 3
LAST_LETTER = chr(0x10FFFF)
MAX_STEMS = 50_000
"""Words whose stems are remembered."""
MIN_BEGINNING = 2
"""Letters of the shortest last word that may be the beginning of another."""
MAX_COMPLETIONS = 5
COMPLETED = 0.6
"""How sure each word is that begins as the last one does."""
MAX_BEGINNINGS = 5_000
"""Beginnings whose words are remembered until there are new ones."""
MIN_JOINED, MIN_PART = 5, 3
"""Letters of the shortest word that two words may be, and of the shortest part of a word."""
MIN_ITEMS = 2
"""Items that have a word that is read for two, or for a part of one."""
FREQUENT = 2_500
"""A part of a word is one that at least one in so many items has."""
JOINED, PART = 0.9, 0.6
"""How sure a word is that two are in one, and each part of one."""
SURE = 0.8
"""How sure the nearest word is, to the power of its distance; of others half as much."""


class Readings:
    """Reads queries with the words of a catalog.

    language, prefix: as in `WordSettings`.

    Words of deleted items stay known.
    """

    def __init__(self, texts: Iterable[str], language: str | None, *, prefix: bool = False) -> None:
        """texts: of all items, each of which is read once."""
        self._prefix = prefix
        self._surface, self._stemmed = analyzer(None), analyzer(language)
        self._stem = lru_cache(MAX_STEMS)(self._stem_of)
        self._units = Units(self._stem)
        self._texts, self._items = 0, Counter[str]()
        counted = self._counted(texts)
        self._units.learn(map(self._in_order, counted))
        deque(counted, maxlen=0)  # units are learned from the first texts alone
        self._stems = {self._stem_of(word) for word in self._items}
        self._near = [DeleteIndex([word for word in self._items if _may_be_meant(word)])]
        self._sorted = sorted(word for word in self._items if word.isalpha())
        self._completions = lru_cache(MAX_BEGINNINGS)(self._completions_of)

    @property
    def analyzer(self) -> tantivy.TextAnalyzer:
        """What divides texts into the words that readings are."""
        return self._stemmed

    def learn(self, texts: Iterable[str]) -> None:
        """Know the words of further items too.

        New words are indexed beside the others; indexes of about one size become one, so that there are few.
        """
        texts = list(texts)
        self._units.learn(map(self._in_order, texts))
        self._texts += len(texts)
        counts = Counter(word for text in texts for word in words_of(self._surface, text))
        new = [word for word in counts if word not in self._items]
        self._items.update(counts)
        self._stems.update(map(self._stem_of, new))
        for word in filter(str.isalpha, new):
            insort(self._sorted, word)
        self._completions.cache_clear()
        words = [word for word in new if _may_be_meant(word)]
        if words:
            near = self._near.copy()
            while len(near) > 1 and len(near[-1]) <= 2 * len(words):
                words += near.pop().words
            self._near = [*near, DeleteIndex(words)]

    def of(self, query: str, *, prefix: bool = True, kept: Collection[str] = ()) -> list[Mapping[str, float]]:
        """For each distinct word of a query its readings, each with how sure it is: 1 for what was typed.

        prefix: whether the last word may be the beginning of one, where the catalog allows it.
        kept: words that are no slips and no beginnings, in lower case and without accents.
        """
        words = words_of(self._surface, query)
        counts = any(map(str.isdigit, words))
        units = self._units.of(self._in_order(query)[: 2 * MAX_WORDS]) if counts else {}
        typing = prefix and self._prefix and query[-1:].isalpha() and len(words) <= MAX_WORDS
        joined = self._joined(words[:MAX_WORDS], kept)
        readings: list[Mapping[str, float]] = [
            {self._stem(word): 1.0} if word in kept else {**units.get(word, {}), **more, **self._readings(word)}
            for word, more in zip(words, joined, strict=False)
        ]
        if (
            typing
            and words
            and words[-1] not in kept
            and self._is_strange(words[-1])
            and len(words[-1]) >= MIN_BEGINNING
        ):
            completed: dict[str, float] = {self._stem(word): COMPLETED for word in self._completions(words[-1])}
            readings[-1] = {**completed, **readings[-1]}
        return [*readings, *(read for sign, read in units.items() if sign not in words)]

    def _counted(self, texts: Iterable[str]) -> Iterator[str]:
        """The same texts, whose words are counted as they pass."""
        for text in texts:
            self._texts += 1
            self._items.update(words_of(self._surface, text))
            yield text

    def _in_order(self, text: str) -> list[str]:
        """All words of a text, with the signs that may be units."""
        return list(self._surface.analyze(with_signs(divided(text[:MAX_TEXT_CHARACTERS]))))

    def _is_strange(self, word: str) -> bool:
        """Whether it is of letters, and no item has a form of it."""
        return word.isalpha() and self._stem(word) not in self._stems

    def _readings(self, word: str) -> dict[str, float]:
        readings = {self._stem(word): 1.0}
        if len(word) < MIN_LETTERS or not self._is_strange(word):
            return readings
        if parts := self._parts(word):
            return {**dict.fromkeys(map(self._stem, parts), PART), **readings}
        edits = 2 if len(word) >= LONG else 1
        near = [pair for index in self._near for pair in index.near(word, edits)]
        ranked = sorted(near, key=lambda pair: (pair[1], pair[0][0] != word[0], -self._items[pair[0]], pair[0]))
        for place, (known, distance) in enumerate(ranked[:MAX_READINGS]):
            sure = SURE**distance * (1.0 if place == 0 else 0.5)
            readings[self._stem(known)] = max(sure, readings.get(self._stem(known), 0.0))
        return readings

    def _joined(self, words: Sequence[str], kept: Collection[str]) -> list[dict[str, float]]:
        """For each word of a query what it is in one with the one before, and with the one behind it."""
        joined: list[dict[str, float]] = [{} for _ in words]
        for place, (one, other) in enumerate(pairwise(words)):
            both = one + other
            known = self._items[both] >= MIN_ITEMS and len(both) >= MIN_JOINED and both.isalpha()
            if known and one not in kept and other not in kept:
                joined[place][self._stem(both)] = joined[place + 1][self._stem(both)] = JOINED
        return joined

    def _parts(self, word: str) -> tuple[str, ...]:
        """The two frequent words that a word consists of, those of which the rarer is as frequent as can be."""
        ways = [(word[:at], word[at:]) for at in range(MIN_PART, len(word) - MIN_PART + 1)]
        best = max(ways, key=self._rarer, default=())
        return best if best and self._rarer(best) >= max(MIN_ITEMS, self._texts // FREQUENT) else ()

    def _rarer(self, parts: Sequence[str]) -> int:
        """The items that have the rarer of some words."""
        return min(self._items[part] for part in parts)

    def _completions_of(self, beginning: str) -> list[str]:
        """The commonest words with this beginning."""
        first, end = (bisect_left(self._sorted, text) for text in (beginning, beginning + LAST_LETTER))
        return nlargest(MAX_COMPLETIONS, self._sorted[first:end], key=lambda word: (self._items[word], word))

    def _stem_of(self, word: str) -> str:
        return next(iter(words_of(self._stemmed, word)), word)


def _may_be_meant(word: str) -> bool:
    return len(word) >= MIN_LETTERS - 1 and word.isalpha()
