"""Clicks while a catalog serves: those that a bundle learned, and those that came since.

The fit of `catalog.priors.clicks` has the same scores: rarities are computed anew whenever a query comes or goes.

Shapes: T texts, N items, V words, W words of all texts together, S texts like a query.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp

from catalog.priors.clicks import ClickSettings, Words
from catalog.priors.live.counts import CELL_BYTES, NOTHING, LiveCounts, grown, parts
from catalog.text.prompts import cleaned_as_known

__all__ = ["LiveClicks"]


class LiveClicks:
    """What was taken after which query."""

    def __init__(self, queries: Sequence[str], count_TN: sp.csr_matrix, words: Words) -> None:
        """
        queries, count_TN: as `clicks.count` gives them.
        words: the distinct words of a query.
        """
        from catalog.priors import kernels  # not above: it loads numba, before which vLLM's process must have started

        self._kernels = kernels
        self._words = words
        self._fitted = parts(count_TN)
        self._taken = LiveCounts(len(queries))
        self._number_of = {query: number for number, query in enumerate(queries)}
        self._column_of: dict[str, int] = {}
        of_text = [[self._column_of.setdefault(w, len(self._column_of)) for w in words(text)] for text in queries]
        self._word_W = np.array([column for own in of_text for column in own], np.int32)
        ends = np.cumsum([0, *map(len, of_text)])
        self._bounds_T2 = np.stack([ends[:-1], ends[1:]], 1)
        self._end = len(self._word_W)
        self._events_T = np.bincount(
            np.repeat(np.arange(len(queries)), np.diff(count_TN.indptr)), count_TN.data, len(queries)
        ).astype(np.float64)  # of nothing NumPy counts in integers, whatever the weights
        text_W = np.repeat(np.arange(len(queries)), np.diff(ends))
        order = np.argsort(self._word_W, kind="stable")
        self._texts_of_V = np.bincount(self._word_W, minlength=len(self._column_of))
        self._postings = (np.r_[0, np.cumsum(self._texts_of_V)], text_W[order].astype(np.int32))
        self._asked = LiveCounts(len(self._column_of))  # texts with each word that came since
        self._texts = int((self._events_T > 0).sum())
        self._rarity_V: np.ndarray | None = None

    def add(self, query: str, item: int, amount: float = 1) -> None:
        """An event with an item after a query; a negative amount takes it back."""
        text = self._number(cleaned_as_known(query, self._number_of))
        before = self._events_T[text]
        after = before + amount
        self._events_T[text] = after if abs(after) > NOTHING else 0.0
        self._taken.add(text, item, amount)
        came = int(before <= 0 < self._events_T[text]) - int(self._events_T[text] <= 0 < before)
        if came:
            begin, end = self._bounds_T2[text].tolist()
            self._texts_of_V[self._word_W[begin:end]] += came
            self._texts += came
            self._rarity_V = None

    @property
    def nbytes(self) -> int:
        """About how many bytes it takes beside what the bundle has."""
        arrays = (self._word_W, self._bounds_T2, self._events_T, self._texts_of_V, *self._postings)
        named = (len(self._number_of) + len(self._column_of)) * CELL_BYTES
        return sum(array.nbytes for array in arrays) + self._taken.nbytes + self._asked.nbytes + named

    def taken_after(self, query: str, ways: Sequence[ClickSettings], most: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """What `clicks.score` says of one query, each time with other settings: items, int64, and scores, float64.

        most: queries that are like it, the nearest, whose items count.
        """
        rarity_V = self._rarities()
        words = self._words(query)
        known = np.array([self._column_of[word] for word in words if word in self._column_of], np.int64)
        strange = (len(words) - len(known)) * np.log1p(max(self._texts, 1)) ** 2
        length = np.sqrt((rarity_V[known] ** 2).sum() + strange)
        text_S, alike_S = self._kernels.alike_texts(
            *self._postings,
            *self._asked.arrays[:3],
            *(self._bounds_T2, self._word_W, self._events_T, rarity_V, known),
            length,
        )
        same = self._number_of.get(cleaned_as_known(query, self._number_of), -1)
        if same >= 0 and same not in text_S:  # a query without a word
            text_S, alike_S = np.append(text_S, same), np.append(alike_S, 0.0)
        if len(text_S) > most:
            nearest = self._kernels.strongest(text_S, alike_S, most)
            text_S, alike_S = text_S[nearest], alike_S[nearest]
        taken = []
        for settings in ways:
            weight_S = settings.shared_words * alike_S**settings.sharpness
            weight_S[alike_S > 1 - 1e-9] = settings.same_words
            weight_S[text_S == same] = 1.0
            taken.append(self._kernels.sum_of_clicks(*self._fitted, *self._taken.arrays, text_S, weight_S))
        return taken

    def _rarities(self) -> np.ndarray:
        if self._rarity_V is None:
            self._rarity_V = np.log1p(self._texts / np.maximum(self._texts_of_V, 1))
        return self._rarity_V

    def _number(self, text: str) -> int:
        """The number of a cleaned query, which it is given if it has none."""
        number = self._number_of.get(text)
        if number is None:
            number = len(self._number_of)
            columns = [self._column_of.setdefault(word, len(self._column_of)) for word in self._words(text)]
            self._make_room(number + 1, self._end + len(columns))
            self._bounds_T2[number] = self._end, self._end + len(columns)
            self._word_W[self._end : self._end + len(columns)] = columns
            self._end += len(columns)
            for column in columns:
                self._asked.add(column, number, 1)
            self._number_of[text] = number
        return number

    def _make_room(self, texts: int, words: int) -> None:
        self._taken.make_room(texts)
        self._bounds_T2, self._events_T = grown(self._bounds_T2, texts, 0), grown(self._events_T, texts, 0)
        self._word_W = grown(self._word_W, words, 0)
        self._asked.make_room(len(self._column_of))
        self._texts_of_V = grown(self._texts_of_V, len(self._column_of), 0)
        self._rarity_V = None
