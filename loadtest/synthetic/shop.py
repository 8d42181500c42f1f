"""A made-up shop of any size: items with words as rare as in a real one, and what people's events would teach of them.

Nothing is fitted, so that a million items take seconds. Items, words and queries are drawn by Zipf's law.

Shapes: N items, T queries, V words.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp
from numpy.typing import NDArray

from catalog.data.items import Items
from catalog.priors.learned import Learned

__all__ = ["Shop", "UntaughtShop", "asked_before", "tables", "taught", "words_of_shop"]

ONSETS = ("b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t", "v", "w", "ch", "sh", "st", "tr")
SYLLABLES = [onset + rest for onset in ONSETS for rest in ("a", "e", "i", "o", "u", "an", "er")]
TITLE_WORDS = 7
DESCRIPTION_WORDS = 15
EASE_NEIGHBOURS, FOLLOWERS, NEIGHBOURS = 150, 30, 60
"""Of an item by EASE, transitions and item-kNN, on average; at most four times as many."""
EASE_ITEMS = 12_500
QUERIES_AN_ITEM = 0.5
MAX_QUERIES = 200_000
CLICKS_A_QUERY = 4
HISTORY = 10
PIECE = 1_000_000
"""Numbers that are drawn together."""


@dataclass(frozen=True, slots=True)
class UntaughtShop:
    """A catalog, of which no events need to teach anything.

    asked: texts of queries that people typed before.
    words: that titles are made of.
    """

    items: Items
    asked: Sequence[str]
    words: Sequence[str]

    def records(self, seed: int) -> Iterator[dict[str, Any]]:
        """New items, without end."""
        draw = np.random.default_rng([seed, 2])
        return (record(number, self.words, draw) for number in count(len(self.items)))

    def questions(self, number: int, seed: int) -> Iterator[tuple[str | None, NDArray[np.int64]]]:
        """What people might ask: a query in two of three, half of them typed before, and a history in two of three."""
        draw = np.random.default_rng([seed, 1])
        titles = self.items.table["title"]
        for place in range(number):
            row = int(_zipf(len(self.items), 1, draw)[0])
            known = bool(draw.random() < 0.5)
            text = self.asked[int(draw.integers(len(self.asked)))] if known else _part_of(titles[row].as_py(), draw)
            history = _zipf(len(self.items), HISTORY if place % 3 != 1 else 0, draw).astype(np.int64)
            yield (None if place % 3 == 2 else text), history


@dataclass(frozen=True, slots=True)
class Shop(UntaughtShop):
    """A catalog and what its events teach."""

    learned: Learned

    @classmethod
    def of(cls, items: int, seed: int) -> Shop:
        """A shop of so many items."""
        draw = np.random.default_rng(seed)
        vocabulary = words_of_shop(items)
        table = _table(items, vocabulary, draw)
        learned = taught(Items(table), vocabulary, items, draw)
        return cls(Items(table), learned.queries, vocabulary, learned)


def words_of_shop(items: int) -> list[str]:
    """The words of a shop of so many items."""
    return _vocabulary(int(120 * items**0.5))


def tables(items: int, seed: int) -> Iterator[pa.Table]:
    """The items of a shop in pieces, which are never in memory together. They are others than those of `Shop.of`."""
    vocabulary = words_of_shop(items)
    for begin in range(0, items, PIECE):
        yield _table(min(PIECE, items - begin), vocabulary, np.random.default_rng([seed, begin]), begin)


def taught(items: Items, vocabulary: Sequence[str], known: int, draw: np.random.Generator) -> Learned:
    """What events teach of these items.

    vocabulary: the words of their titles.
    known: how many of them, the first, have neighbours and were followed by any.
    """
    return _learned(items, known, asked_before(items, draw), vocabulary, draw)


def asked_before(items: Items, draw: np.random.Generator) -> tuple[str, ...]:
    """Distinct queries that people typed for these items."""
    queries_typed = min(MAX_QUERIES, max(1, int(len(items) * QUERIES_AN_ITEM)))
    titles = items.table["title"].take(pa.array(_zipf(len(items), queries_typed, draw))).to_pylist()
    return tuple(dict.fromkeys(_part_of(title, draw) for title in titles))


def _table(items: int, vocabulary: Sequence[str], draw: np.random.Generator, first: int = 0) -> pa.Table:
    """So many items, as `record` makes them. first: the number of the first."""
    words = pa.array(vocabulary)
    brand_N = len(vocabulary) - 1 - draw.integers(min(len(vocabulary) // 2, 300), size=items)
    category_N = len(vocabulary) - 301 - draw.integers(min(len(vocabulary) // 4, 50), size=items)
    paths = pa.array(np.stack([np.full(items, len(words)), category_N], 1).ravel())
    length_N = pa.array(draw.integers(1, 500, size=items).astype(str))
    return pa.table(
        {
            "item_id": [f"SKU-{number:07}" for number in range(first, first + items)],
            "title": _titles(words, length_N, draw),
            "description": _phrases(words, DESCRIPTION_WORDS, items, draw),
            "brand": words.take(pa.array(brand_N)),
            "categories": pa.ListArray.from_arrays(
                pa.array(np.arange(items + 1) * 2, pa.int32()), pa.concat_arrays([words, pa.array(["all"])]).take(paths)
            ),
            "price": np.round(draw.lognormal(3, 1, size=items), 2),
            "available": np.ones(items, bool),
        }
    )


def _titles(words: pa.Array, length_N: pa.Array, draw: np.random.Generator) -> pa.Array:
    lengths = pc.binary_join_element_wise(length_N, "m", "")
    return pc.binary_join_element_wise(_phrases(words, TITLE_WORDS, len(length_N), draw), lengths, " ")


def _phrases(words: pa.Array, length: int, items: int, draw: np.random.Generator) -> pa.Array:
    """So many texts of so many words."""
    chosen = words.take(pa.array(_zipf(len(words), length * items, draw)))
    return pc.binary_join(pa.ListArray.from_arrays(pa.array(np.arange(items + 1) * length, pa.int32()), chosen), " ")


def record(number: int, vocabulary: Sequence[str], draw: np.random.Generator) -> dict[str, Any]:
    """A made-up record of an items file."""
    title = _words(vocabulary, TITLE_WORDS, draw)
    return {
        "item_id": f"SKU-{number:07}",
        "title": f"{title} {int(draw.integers(1, 500))}m",
        "description": _words(vocabulary, DESCRIPTION_WORDS, draw),
        "brand": vocabulary[-1 - int(draw.integers(min(len(vocabulary) // 2, 300)))],
        "categories": ["all", vocabulary[-301 - int(draw.integers(min(len(vocabulary) // 4, 50)))]],
        "price": round(float(draw.lognormal(3, 1)), 2),
        "available": True,
    }


def _vocabulary(size: int) -> list[str]:
    """Distinct made-up words, the commonest first and shortest."""
    some = len(SYLLABLES)
    return [
        SYLLABLES[n % some] + SYLLABLES[n // some % some * 7 % some] + SYLLABLES[n // some**2 % some]
        for n in range(max(size, 700))
    ]


def _words(vocabulary: Sequence[str], count: int, draw: np.random.Generator) -> str:
    return " ".join(vocabulary[place] for place in _zipf(len(vocabulary), count, draw).tolist())


def _part_of(title: str, draw: np.random.Generator) -> str:
    words = title.split()
    begin = int(draw.integers(max(1, len(words) - 3)))
    return " ".join(words[begin : begin + int(draw.integers(1, 4))])


def _zipf(size: int, count: int, draw: np.random.Generator) -> NDArray[np.int32]:
    """Numbers from 0 to `size` - 1, with a weight of about 1 / (n + 10)."""
    drawn = np.empty(count, np.int32)
    for begin in range(0, count, PIECE):  # in little memory
        piece = drawn[begin : begin + PIECE]
        piece[:] = (11 * ((size + 10) / 11) ** draw.random(len(piece)) - 11).clip(0, size - 1)
    return drawn


def _learned(
    shop: Items, known: int, queries: Sequence[str], vocabulary: Sequence[str], draw: np.random.Generator
) -> Learned:
    items = len(shop)
    categories = len(_narrowest(shop).unique()) + 1  # one more for none
    brands = len(shop.table["brand"].unique()) + 1
    clicks = len(queries) * CLICKS_A_QUERY
    asked, taken = draw.integers(len(queries), size=clicks), _zipf(items, clicks, draw)
    count_TN = sp.csr_matrix((np.ones(clicks, np.float32), (asked, taken)), shape=(len(queries), items))
    count_TN.sum_duplicates()
    words = tuple(vocabulary[:20_000])
    events_N = np.bincount(_zipf(items, 20 * items, draw), minlength=items).astype(np.float64)
    return Learned(
        queries=queries,
        count_TN=count_TN,
        intent_words=words,
        evidence_VG=draw.normal(size=(len(words), categories)).astype(np.float32),
        ease_NN=_neighbours(items, min(items, EASE_ITEMS), EASE_NEIGHBOURS, draw),
        transitions_NN=_neighbours(items, known, FOLLOWERS, draw),
        item_knn_NN=_neighbours(items, known, NEIGHBOURS, draw),
        next_category_NG=_neighbours(items, known, FOLLOWERS, draw, categories),
        next_brand_NB=_neighbours(items, known, FOLLOWERS, draw, brands),
        events_N=events_N,
        steps_N=events_N,
        takers_N=events_N,
    )


def _narrowest(items: Items) -> pa.ChunkedArray:
    """The last category of each item, all of which have two."""
    return pc.list_element(items.table["categories"], 1)


def _neighbours(
    items: int, rows: int, mean: int, draw: np.random.Generator, columns: int | None = None
) -> sp.csr_matrix:
    """Random weights in the first `rows` rows; columns: how many, if not as many as items."""
    length_N = np.zeros(items, np.int64)
    length_N[:rows] = np.minimum(draw.exponential(mean, rows), 4 * mean).astype(np.int64)
    starts = np.r_[0, np.cumsum(length_N)]
    columns = items if columns is None else columns
    drawn = _zipf(columns, int(starts[-1]), draw)
    matrix = sp.csr_matrix((draw.random(len(drawn), np.float32), drawn, starts), shape=(items, columns))
    matrix.sum_duplicates()
    return matrix
