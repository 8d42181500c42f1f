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


@dataclass(frozen=True, slots=True, eq=False)
class Taste:
    """The brand and category of every item by number, int64 [N], and the logarithm of its price, float64 [N]; NaN for
    none. -1 stands for no brand."""

    brand_N: np.ndarray
    category_N: np.ndarray
    log_price_N: np.ndarray


def fit(items: Items) -> Taste:
    """The taste of these items; a category is the last, and so the narrowest, of an item's categories."""
    brands = items.table["brand"].to_pylist()
    narrowest = [(names or [None])[-1] for names in items.table["categories"].to_pylist()]
    price_N = np.array([np.nan if p is None or p <= 0 else p for p in items.table["price"].to_pylist()], np.float64)
    return Taste(_numbered(brands), _numbered(narrowest), np.log(price_N))


def score(taste: Taste, history_H: np.ndarray, item_C: np.ndarray) -> np.ndarray:
    """The features of some items for a history: float64 [C, 3].

    history_H: the items of the history, int64, oldest first.
    """
    value_CF = np.zeros((len(item_C), len(TASTE_FEATURES)))
    recent = history_H[-LAST:]
    if len(recent) == 0:
        return value_CF
    weight_H = DECAY ** np.arange(len(recent))[::-1]
    weight_H /= weight_H.sum()
    value_CF[:, 0] = _share(taste.brand_N, recent, weight_H, item_C)
    value_CF[:, 1] = _share(taste.category_N, recent, weight_H, item_C)
    priced_H = np.isfinite(taste.log_price_N[recent])
    if priced_H.any():
        usual = np.average(taste.log_price_N[recent][priced_H], weights=weight_H[priced_H])
        value_CF[:, 2] = np.exp(-np.abs(np.nan_to_num(taste.log_price_N[item_C], nan=usual) - usual))
    return value_CF


def _share(group_N: np.ndarray, recent: np.ndarray, weight_H: np.ndarray, item_C: np.ndarray) -> np.ndarray:
    """The weight of the history's items that are of each item's group."""
    same_CH = (group_N[item_C, None] == group_N[recent]) & (group_N[item_C, None] >= 0)
    return np.asarray(same_CH @ weight_H)


def _numbered(names: Sequence[str | None]) -> np.ndarray:
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) if name else -1 for name in names], np.int64)
