"""Words that stand beside each other in the titles, brands and other short texts of a catalog, joined.

People write `rayban` and `delonghi` where a catalog has `Ray Ban` and `De Longhi`. There may be millions of such
pairs, so only their hashes are kept, which is eight bytes for each.

Shapes: P pairs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

__all__ = ["MAX_LINE", "AdjacentWords", "adjacent_in", "adjacent_pieces"]

MAX_LINE = 200
"""Characters of a short text."""
MAX_ADDED = 20_000  # pairs that are kept apart, so that a change of items does not copy all


class AdjacentWords:
    """A set of joined pairs in their normal form, which never changes."""

    def __init__(self, joined: Iterable[str] = ()) -> None:
        self._hash_P = np.unique(np.fromiter((hash(word) for word in joined), np.int64))
        self._added_P: NDArray[np.int64] = np.empty(0, np.int64)

    def __len__(self) -> int:
        return len(self._hash_P) + len(self._added_P)

    def __contains__(self, word: str) -> bool:
        return _has(self._hash_P, hash(word)) or _has(self._added_P, hash(word))

    def with_pairs(self, others: AdjacentWords) -> AdjacentWords:
        """With the pairs of others, which are few; these themselves where there is nothing new."""
        new = [number for number in others._hash_P.tolist() if not _has(self._hash_P, number)]
        added_P = np.union1d(self._added_P, np.array(new, np.int64))
        if len(added_P) == len(self._added_P):
            return self
        grown = AdjacentWords()
        if len(added_P) > MAX_ADDED:
            grown._hash_P = np.union1d(self._hash_P, added_P)
        else:
            grown._hash_P, grown._added_P = self._hash_P, added_P
        return grown


def adjacent_in(pieces: pa.ListArray) -> list[str]:
    """Every two pieces that stand beside each other in a text, joined. pieces: those of each text."""
    piece, row = pc.list_flatten(pieces), pc.list_parent_indices(pieces)
    is_word = pc.not_equal(piece, "")
    piece, row = piece.filter(is_word), row.filter(is_word)
    if len(piece) < 2:
        return []
    same = pc.equal(row.slice(1), row.slice(0, len(row) - 1))
    joined = pc.binary_join_element_wise(piece.slice(0, len(piece) - 1), piece.slice(1), pa.scalar("", piece.type))
    unique: list[str] = pc.unique(joined.filter(same)).to_pylist()
    return unique


def adjacent_pieces(pieces: Sequence[str]) -> list[str]:
    """What `adjacent_in` says of one text."""
    return [one + other for one, other in pairwise(piece for piece in pieces if piece)]


def _has(hash_P: NDArray[np.int64], number: int) -> bool:
    place = int(np.searchsorted(hash_P, number))
    return place < len(hash_P) and int(hash_P[place]) == number
