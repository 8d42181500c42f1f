"""Named categories: items of a category whose whole name somebody typed.

Whoever types `hiking` wants what is of the category Hiking before Hiking Boots, which `category` cannot tell: items of
both have the word.

N items, C candidates, P words of a query.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["NamedCategories"]


class NamedCategories:
    """The categories of items, by the words of their names. It does not change but for names that it learns."""

    def __init__(self, words: Callable[[str], Sequence[str]]) -> None:
        """words: the distinct words of a text."""
        self._words = words
        self._sets: dict[tuple[str, ...], int] = {(): 0}  # of categories, numbered
        self._sets_named: dict[frozenset[str], list[int]] = {}  # by the words of a name, the sets that have it
        self._begun: dict[str, list[frozenset[str]]] = {}  # by one of their words, the names
        self._set_N: NDArray[np.int32] = np.zeros(0, np.int32)

    def with_items(self, item_K: NDArray[np.int64], categories: Sequence[Sequence[str] | None]) -> NamedCategories:
        """With other categories of these items, which this does not see."""
        changed = copy.copy(self)
        numbers = [self._number(tuple(names or ())) for names in categories]
        changed._set_N = np.zeros(max(len(self._set_N), int(item_K.max(initial=-1)) + 1), np.int32)
        changed._set_N[: len(self._set_N)] = self._set_N
        changed._set_N[item_K] = numbers
        return changed

    def score(self, words: Sequence[Mapping[str, float]], item_C: NDArray[np.int64]) -> NDArray[np.float64] | None:
        """How many words the longest name has that is typed and that each item has, of the longest that is typed.

        words: the readings of each word of a query, as `Readings.of` gives them; the surest of each counts.
        Returns None where no name is typed.
        """
        sure: dict[str, float] = {}
        for readings in words:
            for reading, how_sure in readings.items():
                sure[reading] = max(how_sure, sure.get(reading, 0.0))
        typed = [name for word in sure for name in self._begun.get(word, ()) if sure.keys() >= name]
        if not typed:
            return None
        longest = max(map(len, typed))
        value_S = np.zeros(len(self._sets))
        for name in typed:
            own = self._sets_named[name]
            value_S[own] = np.maximum(value_S[own], sum(sure[word] for word in name) / longest)
        return value_S[self._set_N[item_C]]

    def _number(self, names: tuple[str, ...]) -> int:
        """Of a set of categories, which is learned where it is new."""
        number = self._sets.get(names)
        if number is None:
            number = len(self._sets)
            for name in names:
                if words := frozenset(self._words(name)):
                    if words not in self._sets_named:
                        self._begun.setdefault(min(words), []).append(words)
                    self._sets_named.setdefault(words, []).append(number)
            self._sets[names] = number  # last, as it is asked meanwhile
        return number
