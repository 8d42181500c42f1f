"""Finds the row of an item by its id, in every snapshot of a catalog that changes.

An inserted item moves the rows of all items behind it, and a dict of a million ids takes half a second to make. So
every id gets a number once, in a dict that all snapshots share and extend, and a snapshot has only an array from these
numbers to its rows.

Shapes: N items of a snapshot, I ids with a number, K new ids.
"""

from collections.abc import Iterator, Sequence
from itertools import count

import numpy as np
from numpy.typing import NDArray

__all__ = ["RowLookup"]

ABSENT = -1


class RowLookup:
    """The rows of one snapshot. It is immutable, and may be read while another is made from it."""

    def __init__(self, numbers: dict[str, int], unused: Iterator[int], row_I: NDArray[np.int32]) -> None:
        self._numbers = numbers
        self._unused = unused
        self._row_I = row_I
        self._rows = row_I.data  # reading one value of it is twice as fast as of the array

    @classmethod
    def of(cls, ids: Sequence[str]) -> "RowLookup":
        """The lookup of items whose ids are given in the order of rows."""
        numbers = {item_id: row for row, item_id in enumerate(ids)}
        return cls(numbers, count(len(ids)), np.arange(len(ids), dtype=np.int32))

    def row_of(self, item_id: str) -> int | None:
        """The row of an item, or None where there is no such item."""
        number = self._numbers.get(item_id)
        if number is None or number >= len(self._rows):  # its number was given for a later snapshot
            return None
        row: int = self._rows[number]
        return None if row == ABSENT else row

    def inserted(self, moved_N: NDArray[np.int64], ids: Sequence[str], row_K: NDArray[np.int64]) -> "RowLookup":
        """The lookup after an insertion: row r becomes row moved_N[r], and the new items `ids` get the rows row_K."""
        # Two snapshots made from one may insert the same id, which keeps the number that it got first.
        number_K = [self._numbers.setdefault(item_id, next(self._unused)) for item_id in ids]
        row_I = np.full(max(len(self._row_I), 1 + max(number_K, default=0)), ABSENT, np.int32)
        row_I[: len(self._row_I)] = np.append(moved_N, ABSENT)[self._row_I]
        row_I[number_K] = row_K
        return RowLookup(self._numbers, self._unused, row_I)
