"""What words say about items: how well the text of each fits a query, in a few numbers that are comparable.

C candidates, T texts, W features of words.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import chain
from typing import Any

import numpy as np
import tantivy
from numpy.typing import NDArray

from catalog.data.attributes import attribute_columns, attribute_texts
from catalog.data.items import Items
from catalog.priors.words.beginnings import Beginnings
from catalog.priors.words.content import Content, content_of, rarest_words
from catalog.priors.words.index import (
    FIELDS,
    WordIndex,
    WordSettings,
    fit_pieces,
    folded,
    item_fields,
    with_items,
    words_of,
)
from catalog.priors.words.item_words import ItemWords, QueryWords
from catalog.priors.words.matches import Match, matches, unknown_characters
from catalog.priors.words.named_categories import NamedCategories
from catalog.priors.words.places import TextPlaces
from catalog.priors.words.readings import Readings

__all__ = ["WORD_FEATURES", "FoundByWords", "WordFeatures"]

WORD_FEATURES = (
    "bm25",  # over all text, divided by that of the best item
    "covered",  # the share of the query's words that the item has anywhere, rare words counting more
    "title_covered",  # the same of its title
    "title_asked",  # the share of the title's words that the query has
    "brand",  # whether the query has all words of the brand
    "category",  # the share of the query's words that are of the item's categories
    "attributes",  # the same of its colour, its size, and what else it is
    "numbers",  # the share of the query's numbers that the item has; 1 where there are none
    "beside",  # the share of words beside each other in the query that are so in the title, in their order
    "category_named",  # of the words of the longest category that the query names, those that name one of the item's
    "exact_title",  # whether the query is the title
    "identifier",  # whether the query is the item's id
    "title_begun",  # the share of the title that the query is, which begins as the title does
)
"""The names of the features, each from 0 to 1."""
BM25, COVERED, NUMBERS, CATEGORY_NAMED, EXACT_TITLE, IDENTIFIER, TITLE_BEGUN = map(
    WORD_FEATURES.index,
    ("bm25", "covered", "numbers", "category_named", "exact_title", "identifier", "title_begun"),
)
MAX_TERMS = 20_000
"""Words of queries, in each field, that are remembered."""
ALIKE = 100
"""Items that are found for one that they are like."""
MAX_ALIKE = 10_000
"""Items for which those are remembered."""
MAX_NAMED = 100
"""Items with one title, or one id, that are listed for it."""


@dataclass(frozen=True, slots=True, eq=False)
class FoundByWords:
    """What words find for a query.

    words: the readings of each of its words.
    item_S, score_S: the best items by BM25, int64, the best first, and their scores, float64.
    titled, named: the items whose title, or whose id, the query is.
    begun: the share of their titles that the query is, of items whose titles begin with it.
    """

    words: Sequence[Mapping[str, float]]
    item_S: NDArray[np.int64]
    score_S: NDArray[np.float64]
    titled: Sequence[int]
    named: Sequence[int]
    begun: Mapping[int, float]


class WordFeatures:
    """The words of a catalog, which need no training. It does not change but for words that it learns."""

    def __init__(
        self, items: Items, settings: WordSettings, further: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        """
        further: texts of other fields, one for each item, such as the queries that led to it.
        """
        from catalog.priors import kernels  # not above: it loads numba, before which vLLM's process must have started

        self._compare_words = kernels.compare_words
        self._attributes = attribute_columns(items)
        names = (*FIELDS, "attributes", "text", *(further or {}))  # also fields that no item has yet
        self._weights = {name: settings.weights.get(name, 1.0) for name in names}
        texts = (text for piece in items.pieces() for text in self._fields(piece, None)["text"])
        self._readings = Readings(texts, settings.language, prefix=settings.prefix)
        self._words = ItemWords({}, self._readings.analyzer)
        self._text_places = TextPlaces(self._readings.analyzer)
        self._categories = NamedCategories(partial(words_of, self._readings.analyzer))
        self._titles = _Places()
        self._ids = _Places()
        self._index: WordIndex = fit_pieces(names, self._read(items, further or {}), settings)
        self._term = lru_cache(MAX_TERMS)(partial(_term, self._index.schema))
        self._beginnings = Beginnings()
        titles = (title or "" for piece in items.pieces() for title in piece.table["title"].to_pylist())
        self._beginnings.add(range(len(items)), titles)  # at once, as they are sorted
        self._alike = _remembered(self._words, self._index)

    def with_items(
        self,
        item_K: NDArray[np.int64],
        items: Items,
        gone: Sequence[int],
        further: Mapping[str, Sequence[str]] | None = None,
    ) -> WordFeatures:
        """After a change, which this does not see. There is one change at a time.

        item_K: the numbers of items that are new or changed.
        items: these items.
        gone: the numbers of items that are deleted.
        further: their texts of other fields.
        """
        fields = self._fields(items, further)
        changed = copy.copy(self)
        changed._readings.learn(fields["text"])
        changed._words = self._words.with_items(item_K, fields, gone)
        changed._index = with_items(self._index, item_K.tolist(), fields, gone)
        changed._categories = self._categories.with_items(item_K, items.table["categories"].to_pylist())
        changed._name(item_K, items, fields)
        changed._beginnings.add(item_K.tolist(), fields.get("title", ()))
        changed._alike = _remembered(changed._words, changed._index)
        return changed

    @property
    def present_N(self) -> NDArray[np.int32]:
        """0 for items that are deleted."""
        return self._words.slot_N

    def find(self, query: str, most: int, *, prefix: bool = True, kept: Collection[str] = ()) -> FoundByWords:
        """The best items for a query, at most so many, and those whose title or id it is.

        prefix, kept: as in `Readings.of`.
        """
        words = self._readings.of(query, prefix=prefix, kept=kept)
        title = list(words_of(self._readings.analyzer, query))
        titled = [item for item in self._titles.of(" ".join(title)) if self._words.has_title(item, title)]
        named = [item for item in self._ids.of(folded(query)) if item in self._words]
        begun = {item: share for item, share in self._beginnings.of(query) if item in self._words} if prefix else {}
        return FoundByWords(words, *self._search(words, most), titled[:MAX_NAMED], named[:MAX_NAMED], begun)

    def matching(self, query: str, *, prefix: bool = True, kept: Collection[str] = ()) -> NDArray[np.uint8]:
        """Of every item 2 where it has all words of a query, or the query is its title, id or the beginning of its
        title; 1 where it has some of them; else 0: uint8 [N].

        prefix, kept: as in `Readings.of`.
        """
        found = self.find(query, 0, prefix=prefix, kept=kept)
        match_N = self._words.matching(found.words)
        match_N[[*found.titled, *found.named, *found.begun]] = 2
        return match_N

    def content(self, history_H: NDArray[np.int64]) -> Content | None:
        """The words of a history; see `content_of`."""
        return content_of(self._words, history_H)

    def alike(self, item: int) -> NDArray[np.int32]:
        """The items that have most of the rare words of an item, by BM25, itself among them; at most ALIKE."""
        return self._alike(item)

    def compare_content(self, content: Content, item_C: NDArray[np.int64], value_CK: NDArray[np.float32]) -> None:
        """Fills in the columns of CONTENT_FEATURES for some items."""
        content.compare(self._words, item_C, value_CK)

    def compare(self, found: FoundByWords, item_C: NDArray[np.int64], value_CF: NDArray[np.float32]) -> None:
        """Fills in the columns of some items, ascending, that WORD_FEATURES has after the first."""
        self._fill_in(found.words, self._words.read(found.words), self._words, item_C, value_CF)
        named_C = self._categories.score(found.words, item_C)
        if named_C is not None:
            value_CF[:, CATEGORY_NAMED] = named_C
        for column, items in ((EXACT_TITLE, found.titled), (IDENTIFIER, found.named)):
            if items:
                value_CF[np.isin(item_C, items), column] = 1
        if found.begun:
            begun_C = np.flatnonzero(np.isin(item_C, list(found.begun)))
            value_CF[begun_C, TITLE_BEGUN] = [found.begun[item] for item in item_C[begun_C].tolist()]

    def of_texts(
        self, query: str, texts: Sequence[str], *, prefix: bool = True, kept: Collection[str] = ()
    ) -> NDArray[np.float32]:
        """The features of texts that are no items, as if each were one: float32 [T, W], in the order of WORD_FEATURES.

        The first line of each is its title, and how much words count is the catalog's. BM25, which is divided by that
        of the catalog's best item, is taken to be as much as the text has of the query's words.

        prefix, kept: as in `Readings.of`.
        """
        words, analyzer = self._readings.of(query, prefix=prefix, kept=kept), self._readings.analyzer
        value_TW = np.zeros((len(texts), len(WORD_FEATURES)), np.float32)
        titles = [text.lstrip().partition("\n")[0] for text in texts]
        of_texts = ItemWords({"text": texts, "title": titles}, analyzer)
        asked = replace(of_texts.read(words), rarity_P=self._words.read(words).rarity_P)
        self._fill_in(words, asked, of_texts, np.arange(len(texts)), value_TW)
        value_TW[:, BM25] = value_TW[:, COVERED]
        wanted = words_of(analyzer, query)
        value_TW[:, EXACT_TITLE] = [bool(wanted) and words_of(analyzer, title) == wanted for title in titles]
        return value_TW

    def matches(
        self, query: str, words: Sequence[Mapping[str, float]], records: Sequence[Mapping[str, Any]]
    ) -> list[list[Match]]:
        """Which words of a query the texts of items have, and where.

        words: the readings of each of its words, from `find`.
        records: the items, with their texts.
        """
        return matches(query, words, records, self._text_places)

    def unknown_characters(self, records: Sequence[Mapping[str, Any]]) -> int:
        """How many characters of items `matches` has yet to look at, which takes a second for a million or two."""
        return unknown_characters(records, self._text_places)

    def _fill_in(
        self,
        words: Sequence[Mapping[str, float]],
        asked: QueryWords,
        of_items: ItemWords,
        item_C: NDArray[np.int64],
        value_CF: NDArray[np.float32],
    ) -> None:
        """Fills in what single words say. asked: the words, in the numbers of `of_items`."""
        value_CF[:, NUMBERS] = not any(map(_has_digit, words))
        if words:
            self._compare_words(
                *(of_items.slot_N, of_items.bounds_SB, of_items.word_W),
                *(asked.number_Q, asked.place_Q, asked.weight_Q, asked.rarity_P, asked.digit_P),
                *(item_C, value_CF),
            )

    def _fields(self, items: Items, further: Mapping[str, Sequence[str]] | None) -> dict[str, Sequence[str]]:
        """The texts of items by the name of the field; `text` has those of their attributes too."""
        fields: dict[str, Sequence[str]] = {**item_fields(items), **(further or {})}
        if self._attributes:
            fields["attributes"] = attribute_texts(items, self._attributes)
            both = zip(fields["text"], fields["attributes"], strict=True)
            fields["text"] = [f"{text}. {more}" if more else text for text, more in both]
        return fields

    def _read(self, items: Items, further: Mapping[str, Sequence[str]]) -> Iterator[Mapping[str, Sequence[str]]]:
        """The texts of all items, a piece at a time, whose words, categories, ids and titles are kept."""
        end = 0
        for piece in items.pieces():
            begin, end = end, end + len(piece)
            own = self._fields(piece, {name: texts[begin:end] for name, texts in further.items()})
            fields = {**dict.fromkeys((*FIELDS, "attributes"), [""] * len(piece)), **own}
            self._words.append(fields)
            item_K, categories = np.arange(begin, end), piece.table["categories"].to_pylist()
            self._categories = self._categories.with_items(item_K, categories)
            self._name(item_K, piece, fields)
            yield fields

    def _name(self, item_K: NDArray[np.int64], items: Items, fields: Mapping[str, Sequence[str]]) -> None:
        """Have items found by their ids and titles."""
        for item, item_id in zip(item_K.tolist(), items.table["item_id"].to_pylist(), strict=True):
            self._ids.add(item, folded(item_id))
        for item, title in zip(item_K.tolist(), fields.get("title", ()), strict=False):
            self._titles.add(item, " ".join(words_of(self._readings.analyzer, title)))

    def _search(self, words: Sequence[Mapping[str, float]], most: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The best items by BM25, the best first, and their scores."""
        if most == 0:
            return np.empty(0, np.int64), np.empty(0)
        terms = [
            self._term(name, reading, weight * sure)
            for readings in words
            for reading, sure in readings.items()
            for name, weight in self._weights.items()
            if weight > 0
        ]
        return _found(self._index, terms, most)


class _Places:
    """The items that ever had a text."""

    def __init__(self) -> None:
        self._places: dict[str, int | list[int]] = {}

    def add(self, item: int, text: str) -> None:
        """Add an item; one without a text is not found."""
        if text:
            before = self._places.setdefault(text, item)
            if isinstance(before, list):
                if item not in before:
                    before.append(item)
            elif before != item:
                self._places[text] = [before, item]

    def of(self, text: str) -> Sequence[int]:
        """The items with a text."""
        found = self._places.get(text, [])
        return found if isinstance(found, list) else [found]


def _term(schema: tantivy.Schema, name: str, word: str, weight: float) -> tantivy.Query:
    """What finds items with a word in a field."""
    return tantivy.Query.boost_query(tantivy.Query.term_query(schema, f"text_{name}", word, "freq"), weight)


def _found(
    index: WordIndex, terms: Sequence[tantivy.Query], most: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The best items that any of these terms finds, the best first, and their scores."""
    if not terms:
        return np.empty(0, np.int64), np.empty(0)
    query = tantivy.Query.boolean_query([(tantivy.Occur.Should, term) for term in terms])
    hits = index.searcher.search(query, most, count=False).hits
    if not hits:
        return np.empty(0, np.int64), np.empty(0)
    scores, addresses = zip(*hits, strict=True)
    return np.array(index.searcher.fast_field_values("row", list(addresses)), np.int64), np.array(scores)


def _remembered(words: ItemWords, index: WordIndex) -> Callable[[int], NDArray[np.int32]]:
    """What finds the items that are like one, in one state of a catalog; what was asked lately is remembered."""

    def alike(item: int) -> NDArray[np.int32]:
        terms = [_term(index.schema, "text", *word) for word in rarest_words(words, item)]
        return _found(index, terms, ALIKE)[0].astype(np.int32)

    return lru_cache(MAX_ALIKE)(alike)


def _has_digit(readings: Mapping[str, float]) -> bool:
    return any(map(str.isdigit, chain.from_iterable(readings)))
