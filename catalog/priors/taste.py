"""Taste: whether an item is of a brand, a category and at a price that a history has.

N items, H items of a history, C candidates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from catalog.data.items import Items

__all__ = ["TASTE_FEATURES", "Taste", "fit", "score"]

TASTE_FEATURES = ("brand_taste", "category_taste", "price_taste")
"""The names of the features, each from 0 to 1."""
DECAY = 0.8
"""The weight of an item of a history against the one after it."""
LAST = 10
"""Items of a history that count."""
NONE = (-1, -1, np.nan)
"""The brand, the category and the logarithm of the price of an item that has none."""


@dataclass(frozen=True, slots=True, eq=False)
class Taste:
    """What items are.

    brand_N, category_N: the brand and category of every item by number, int32; -1 for none.
    log_price_N: the logarithm of its price, float64; NaN for none.
    number_of_brand, number_of_category: the number of each.
    """

    brand_N: np.ndarray
    category_N: np.ndarray
    log_price_N: np.ndarray
    number_of_brand: dict[str, int]
    number_of_category: dict[str, int]

    def with_items(self, item_K: np.ndarray, items: Items) -> Taste:
        """After a change of some items, which this does not see but for the numbers of new brands and categories.

        item_K: the numbers of items that are new or changed.
        items: these items.
        """
        values = _values(items, self.number_of_brand, self.number_of_category)
        before = (self.brand_N, self.category_N, self.log_price_N)
        brand_N, category_N, log_price_N = (
            _with(old, item_K, new, none) for old, new, none in zip(before, values, NONE, strict=True)
        )
        return Taste(brand_N, category_N, log_price_N, self.number_of_brand, self.number_of_category)


def fit(items: Items) -> Taste:
    """The taste of these items; a category is the last, and so the narrowest, of an item's categories."""
    brands: dict[str, int] = {}
    categories: dict[str, int] = {}
    return Taste(*_values(items, brands, categories), brands, categories)


def score(taste: Taste, history_H: np.ndarray, item_C: np.ndarray) -> np.ndarray:
    """The features of some items for a history: float64 [C, 3].

    history_H: the items of the history, int64, oldest first.
    """
    from catalog.priors import kernels  # not above: it loads numba, before which vLLM's process must have started

    value_CF = np.zeros((len(item_C), len(TASTE_FEATURES)))
    recent_H = history_H[-LAST:]
    if len(recent_H) > 0:
        kernels.tastes(taste.brand_N, taste.category_N, taste.log_price_N, recent_H, DECAY, item_C, value_CF)
    return value_CF


def _values(
    items: Items, brands: dict[str, int], categories: dict[str, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The brand, category and logarithm of the price of every item."""
    of_pieces = [_values_of_piece(piece, brands, categories) for piece in items.pieces()]
    if not of_pieces:
        return np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0)
    brand_N, category_N, log_price_N = map(np.concatenate, zip(*of_pieces, strict=True))
    return brand_N, category_N, log_price_N


def _values_of_piece(
    items: Items, brands: dict[str, int], categories: dict[str, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    narrowest = [(names or [None])[-1] for names in items.table["categories"].to_pylist()]
    price_N = np.array([np.nan if p is None or p <= 0 else p for p in items.table["price"].to_pylist()], np.float64)
    return _numbered(items.table["brand"].to_pylist(), brands), _numbered(narrowest, categories), np.log(price_N)


def _numbered(names: Sequence[str | None], numbers: dict[str, int]) -> np.ndarray:
    return np.array([numbers.setdefault(name, len(numbers)) if name else -1 for name in names], np.int32)


def _with(old_N: np.ndarray, item_K: np.ndarray, new_K: np.ndarray, none: float) -> np.ndarray:
    """A copy with other values for some items, which may lie behind the others."""
    value_N = np.full(max(len(old_N), int(item_K.max(initial=-1)) + 1), none, old_N.dtype)
    value_N[: len(old_N)] = old_N
    value_N[item_K] = new_K
    return value_N
