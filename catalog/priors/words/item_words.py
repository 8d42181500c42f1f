"""Item words: which words of a query each of some items has, and in which fields.

BM25 finds items that have some of a query's words, and does not say which. This does, for a few hundred items at a
time: the words of every item are kept as numbers, and compared with those of the query.

N items, W words of all items together, Q words of a query, C candidates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import tantivy
from numpy.typing import NDArray

from catalog.priors.events import places_within
from catalog.priors.words.index import words_of

__all__ = ["FieldWords", "ItemWords", "QueryWords"]


@dataclass(frozen=True, slots=True, eq=False)
class FieldWords:
    """The distinct words of one field of every item.

    start_N1: int64 [N+1]; the words of item n are those from start_N1[n] up to start_N1[n+1].
    word_W: the number of each, int32.
    """

    start_N1: NDArray[np.int64]
    word_W: NDArray[np.int32]

    def of(self, item_C: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """All words of some items, and the place among these items that each belongs to."""
        place, owner = places_within(self.start_N1[item_C], self.start_N1[item_C + 1])
        return self.word_W[place], owner


@dataclass(frozen=True, slots=True, eq=False)
class QueryWords:
    """The words of a query, in the numbers of an ItemWords.

    number_Q: each known way to read a word, int32 ascending; a word may be read in several ways.
    place_Q: which of the query's words it is a reading of.
    weight_Q: how sure that reading is, 0 to 1.
    rarity_P: log(1 + N / n) of the n items that have each of the query's words, or its commonest reading.
    """

    number_Q: NDArray[np.int32]
    place_Q: NDArray[np.int64]
    weight_Q: NDArray[np.float64]
    rarity_P: NDArray[np.float64]


class ItemWords:
    """The words of items by field.

    number_of: the number of each word.
    items_of_word: how many items have each word in any field, int64.
    """

    def __init__(self, fields: Mapping[str, Sequence[str]], analyzer: tantivy.TextAnalyzer) -> None:
        """
        fields: one text for each item, by the name of the field.
        analyzer: what divides texts into words; see `words.analyzer`.
        """
        self.number_of: dict[str, int] = {}
        self._fields = {name: self._numbered(texts, analyzer) for name, texts in fields.items()}
        self.items = len(next(iter(fields.values()), ()))
        anywhere = np.concatenate(
            [
                np.repeat(np.arange(self.items), np.diff(own.start_N1)) * len(self.number_of) + own.word_W
                for own in self._fields.values()
            ]
        )
        self.items_of_word = np.bincount(
            np.unique(anywhere) % max(len(self.number_of), 1), minlength=len(self.number_of)
        )

    def __contains__(self, name: str) -> bool:
        """Whether it has this field."""
        return name in self._fields

    def read(self, words: Sequence[Mapping[str, float]]) -> QueryWords:
        """The words of a query.

        words: for each word its readings, and how sure each is; readings that no item has are dropped.
        """
        known = [
            (number, place, sure)
            for place, readings in enumerate(words)
            for reading, sure in readings.items()
            if (number := self.number_of.get(reading)) is not None
        ]
        known.sort()
        number_Q = np.array([number for number, *_ in known], np.int32)
        place_Q = np.array([place for _, place, _ in known], np.int64)
        weight_Q = np.array([sure for *_, sure in known], np.float64)
        most_P = np.zeros(len(words), np.int64)
        np.maximum.at(most_P, place_Q, self.items_of_word[number_Q])
        return QueryWords(number_Q, place_Q, weight_Q, np.log1p(self.items / np.maximum(most_P, 1)))

    def matches(self, query: QueryWords, name: str, item_C: NDArray[np.int64]) -> NDArray[np.float64]:
        """How sure each word of the query is in a field of each item: float64 [C, P]."""
        words = len(query.rarity_P)
        found_CP = np.zeros(len(item_C) * words)
        word, owner = self._fields[name].of(item_C)
        # a number may stand several times among the readings, once for each word that it is a reading of
        first, last = (np.searchsorted(query.number_Q, word, side=side) for side in ("left", "right"))
        reading, of_word = places_within(first, last)
        np.maximum.at(found_CP, owner[of_word] * words + query.place_Q[reading], query.weight_Q[reading])
        return found_CP.reshape(len(item_C), words)

    def length(self, name: str, item_C: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many words a field of each item has."""
        start_N1 = self._fields[name].start_N1
        return np.asarray(start_N1[item_C + 1] - start_N1[item_C])

    def _numbered(self, texts: Sequence[str], analyzer: tantivy.TextAnalyzer) -> FieldWords:
        words = [[self.number_of.setdefault(w, len(self.number_of)) for w in words_of(analyzer, t)] for t in texts]
        start_N1 = np.r_[0, np.cumsum([len(own) for own in words])].astype(np.int64)
        return FieldWords(start_N1, np.array([number for own in words for number in own], np.int32))
