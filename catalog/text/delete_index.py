"""Known words within one or two edits of a misspelled one, found without comparing it to every known word.

The symmetric delete index (W. Garbe, 2012): two words within n edits of each other become the same text if at most n
letters are dropped from each. So every known word is listed under what is left of its first letters when up to two of
them are dropped, and a typed word is looked up by what is left of its own.

Not the package symspellpy, which finds the same words: for 200,000 of them its dictionary of lists takes 9 s to build,
278 MB, and 0.7 s of every full garbage collection, during which no request is served. These arrays take 1.5 s and
70 MB, and the collector does not look at them.

Shapes: N words, P letters of a word's beginning, K keys of all words together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from rapidfuzz import process
from rapidfuzz.distance import OSA

__all__ = ["MAX_EDITS", "DeleteIndex"]

MAX_EDITS = 2
BEGINNING = 7  # letters of a word that are listed: with more of them the index grows, with fewer the candidates do
MULTIPLIER = 0x9E3779B97F4A7C15
KEY_BITS = (1 << 64) - 1


class DeleteIndex:
    """The words that a misspelled one may stand for. It never changes, so threads may share it.

    words: all of them.
    """

    def __init__(self, words: Sequence[str]) -> None:
        """Takes about 7 µs and 350 bytes a word."""
        self.words = words
        letter_NP = np.array(words, f"U{BEGINNING}").reshape(-1, 1).view(np.uint32)
        length_N = np.count_nonzero(letter_NP, axis=1)
        keys, rows = [], []
        for dropped in _drops(BEGINNING, MAX_EDITS):
            row_R = np.flatnonzero(length_N > max(dropped, default=-1)).astype(np.uint32)
            rows.append(row_R)
            keys.append(_keys(letter_NP[row_R], dropped))
        key_K = np.concatenate(keys)
        order_K = np.argsort(key_K)
        self._key_K = key_K[order_K]
        self._row_K = np.concatenate(rows)[order_K]

    def __len__(self) -> int:
        return len(self.words)

    def near(self, word: str, edits: int) -> list[tuple[str, int]]:
        """The known words at most so many edits away (1 or 2; optimal string alignment), each with its distance."""
        found = process.extract(
            word, self._candidates(word, edits), scorer=OSA.distance, score_cutoff=edits, limit=None
        )
        return [(known, int(distance)) for known, distance, _ in found]

    def _candidates(self, word: str, edits: int) -> list[str]:
        """All words that are so near, and some that are not."""
        beginning = [ord(letter) for letter in word[:BEGINNING]]
        keys = {_key(beginning, dropped) for dropped in _drops(len(beginning), edits)}
        wanted = np.fromiter(keys, np.uint64, len(keys))
        starts = np.searchsorted(self._key_K, wanted, "left").tolist()
        ends = np.searchsorted(self._key_K, wanted, "right").tolist()
        listed = [self._row_K[start:end] for start, end in zip(starts, ends, strict=True) if start < end]
        if not listed:
            return []
        return [self.words[row] for row in np.unique(np.concatenate(listed)).tolist()]


def _drops(length: int, edits: int) -> Iterator[tuple[int, ...]]:
    """Every choice of at most so many of the places 0 … length - 1."""
    return (dropped for count in range(min(edits, length) + 1) for dropped in combinations(range(length), count))


def _keys(letter_RP: NDArray[np.uint32], dropped: tuple[int, ...]) -> NDArray[np.uint64]:
    """A hash of what is left of every beginning without the letters at these places, uint64 [R]."""
    key_R = np.zeros(len(letter_RP), np.uint64)
    for place in range(letter_RP.shape[1]):
        if place not in dropped:
            letter_R = letter_RP[:, place].astype(np.uint64)
            key_R = np.where(letter_R > 0, (key_R ^ letter_R) * np.uint64(MULTIPLIER), key_R)
    return key_R


def _key(beginning: Sequence[int], dropped: tuple[int, ...]) -> int:
    """The same hash of one beginning."""
    key = 0
    for place, letter in enumerate(beginning):
        if place not in dropped:
            key = (key ^ letter) * MULTIPLIER & KEY_BITS
    return key
