"""What words say about items: how well the text of each fits a query, in a few numbers that are comparable.

C candidates.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import tantivy
from numpy.typing import NDArray

from catalog.data.items import Items
from catalog.priors.words.index import WordIndex, WordSettings, fit, item_fields, words_of
from catalog.priors.words.item_words import ItemWords, QueryWords
from catalog.priors.words.readings import Readings

__all__ = ["WORD_FEATURES", "FoundByWords", "WordFeatures"]

WORD_FEATURES = (
    "bm25",  # over all text, divided by that of the best item
    "covered",  # the share of the query's words that the item has anywhere, rare words counting more
    "title_covered",  # the same of its title
    "title_asked",  # the share of the title's words that the query has
    "brand",  # whether the query has all words of the brand
    "category",  # the share of the query's words that are of the item's categories
    "numbers",  # the share of the query's numbers that the item has; 1 where there are none
    "exact_title",  # whether the query is the title
    "identifier",  # whether the query is the item's id
)
"""The names of the features, each from 0 to 1."""


MATCHED = ("text", "title", "brand", "categories")
"""The fields whose words are compared one by one."""


@dataclass(frozen=True, slots=True, eq=False)
class FoundByWords:
    """What words find for a query.

    words: the readings of each of its words.
    item_S, score_S: the best items by BM25, int64 ascending, and their scores, float64.
    titled, named: the items whose title, or whose id, the query is.
    """

    words: Sequence[Mapping[str, float]]
    item_S: NDArray[np.int64]
    score_S: NDArray[np.float64]
    titled: Sequence[int]
    named: Sequence[int]

    @property
    def items(self) -> NDArray[np.int64]:
        """All of them, in any order."""
        return np.concatenate([self.item_S, np.array([*self.titled, *self.named], np.int64)])


class WordFeatures:
    """The words of a catalog, which need no training."""

    def __init__(
        self, items: Items, settings: WordSettings, further: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        """
        further: texts of other fields, one for each item, such as the queries that led to it.
        """
        fields = {**item_fields(items), **(further or {})}
        self._weights = {name: settings.weights.get(name, 1.0) for name in fields}
        self._readings = Readings(fields["text"], settings.language)
        analyzer = self._readings.analyzer
        self._index: WordIndex = fit(fields, settings)
        self._words = ItemWords({name: fields[name] for name in fields if name in MATCHED}, analyzer)
        self._titles = _places(" ".join(words_of(analyzer, title)) for title in fields.get("title", ()))
        self._ids = _places(map(_folded, items.table["item_id"].to_pylist()))

    def find(self, query: str, most: int) -> FoundByWords:
        """The best items for a query, at most so many, and those whose title or id it is."""
        words = self._readings.of(query)
        title = " ".join(words_of(self._readings.analyzer, query))
        return FoundByWords(
            words, *self._search(words, most), self._titles.get(title, []), self._ids.get(_folded(query), [])
        )

    def features(self, found: FoundByWords, item_C: NDArray[np.int64]) -> NDArray[np.float64]:
        """The features of some items, ascending: float64 [C, F]. The BM25 of those that were not found is 0."""
        value_CF = np.zeros((len(item_C), len(WORD_FEATURES)))
        if len(item_C) == 0:
            return value_CF
        columns = dict(zip(WORD_FEATURES, value_CF.T, strict=True))
        place_S = np.searchsorted(item_C, found.item_S).clip(max=len(item_C) - 1)
        here_S = item_C[place_S] == found.item_S
        columns["bm25"][place_S[here_S]] = found.score_S[here_S] / max(found.score_S.max(initial=0), 1e-9)
        columns["exact_title"][:] = np.isin(item_C, found.titled)
        columns["identifier"][:] = np.isin(item_C, found.named)
        columns["numbers"][:] = 1
        if len(found.words) > 0:
            self._compare(self._words.read(found.words), found.words, item_C, columns)
        return value_CF

    def _compare(
        self,
        asked: QueryWords,
        words: Sequence[Mapping[str, float]],
        item_C: NDArray[np.int64],
        columns: Mapping[str, NDArray[np.float64]],
    ) -> None:
        """Fill in what the words of single items say."""
        rarity_P = asked.rarity_P / max(asked.rarity_P.sum(), 1e-9)
        anywhere_CP = self._words.matches(asked, "text", item_C)
        columns["covered"][:] = anywhere_CP @ rarity_P
        numbers_P = np.array([any(c.isdigit() for word in readings for c in word) for readings in words])
        if numbers_P.any():
            columns["numbers"][:] = anywhere_CP[:, numbers_P].mean(1)
        if "title" in self._words:
            title_CP = self._words.matches(asked, "title", item_C)
            columns["title_covered"][:] = title_CP @ rarity_P
            columns["title_asked"][:] = (title_CP.sum(1) / self._words.length("title", item_C).clip(1)).clip(max=1)
        if "brand" in self._words:
            brand_CP = self._words.matches(asked, "brand", item_C)
            columns["brand"][:] = brand_CP.sum(1) >= self._words.length("brand", item_C).clip(1)
        if "categories" in self._words:
            columns["category"][:] = self._words.matches(asked, "categories", item_C) @ rarity_P

    def _search(self, words: Sequence[Mapping[str, float]], most: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The best items by BM25, ascending, and their scores."""
        terms = [
            (tantivy.Occur.Should, tantivy.Query.boost_query(self._term(name, reading), weight * sure))
            for readings in words
            for reading, sure in readings.items()
            for name, weight in self._weights.items()
            if weight > 0
        ]
        if not terms:
            return np.empty(0, np.int64), np.empty(0)
        hits = self._index.searcher.search(tantivy.Query.boolean_query(terms), most, count=False).hits
        rows = self._index.searcher.fast_field_values("row", [address for _, address in hits])
        item_C, score_C = np.array(rows, np.int64), np.array([score for score, _ in hits])
        order = np.argsort(item_C)
        return item_C[order], score_C[order]

    def _term(self, name: str, word: str) -> tantivy.Query:
        return tantivy.Query.term_query(self._index.schema, f"text_{name}", word, "freq")


def _places(texts: Iterable[str]) -> dict[str, list[int]]:
    """The places of equal texts; empty ones have none."""
    places: dict[str, list[int]] = {}
    for place, text in enumerate(texts):
        if text:
            places.setdefault(text, []).append(place)
    return places


def _folded(item_id: str) -> str:
    """An id without case, spaces and hyphens."""
    return "".join(c for c in item_id.casefold() if c.isalnum())
