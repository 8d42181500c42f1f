"""Counts that events add to a sparse matrix: for each row a list of cells, in arrays that compiled loops read.

Shapes: R rows, C cells.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

__all__ = ["NOTHING", "LiveCounts", "Parts", "grown", "parts"]

Number = TypeVar("Number", bound=np.generic)

Parts = tuple[np.ndarray, np.ndarray, np.ndarray]

NOTHING = 1e-9
"""Less than this is what rounding leaves of an amount that was taken back."""
MIN_CELLS = 1_024
CELL_BYTES = 150
"""What a cell takes in a dictionary."""


class LiveCounts:
    """A matrix of counts, most of them zero.

    head_R: the last cell of each row, int32; -1 for none.
    next_C: the cell of the same row before each, int32; -1 for none.
    column_C, amount_C: the column of each cell, int32, and its count, float64.
    """

    def __init__(self, rows: int) -> None:
        self.head_R: NDArray[np.int32] = np.full(rows, -1, np.int32)
        self.next_C: NDArray[np.int32]
        self.column_C: NDArray[np.int32]
        self.amount_C: NDArray[np.float64]
        self._place: dict[int, int]
        self._make_cells(MIN_CELLS)

    @property
    def arrays(self) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32], NDArray[np.float64]]:
        """The rows and cells."""
        return self.head_R, self.next_C, self.column_C, self.amount_C

    def make_room(self, rows: int) -> None:
        """Have at least so many rows."""
        self.head_R = grown(self.head_R, rows, -1)

    def of(self, row: int, column: int) -> float:
        """The count of a row and a column."""
        place = self._place.get(row << 32 | column)
        return 0.0 if place is None else float(self.amount_C[place])

    def add(self, row: int, column: int, amount: float) -> None:
        """Add to the count of a row and a column; a negative amount takes back."""
        place = self._place.get(row << 32 | column)
        if place is None:
            place = self._new_cell(row, column)
        before = self.amount_C[place]
        after = before + amount
        self.amount_C[place] = after if abs(after) > NOTHING else 0.0
        self._empty += int(self.amount_C[place] == 0) - int(before == 0)
        if self._empty > MIN_CELLS + len(self._place) // 2:
            self._drop_empty_cells()

    def __len__(self) -> int:
        """How many cells there are."""
        return len(self._place)

    @property
    def nbytes(self) -> int:
        """About how many bytes it takes."""
        return sum(array.nbytes for array in self.arrays) + len(self._place) * CELL_BYTES

    def _new_cell(self, row: int, column: int) -> int:
        place = len(self._place)
        if place == len(self.next_C):
            self.next_C, self.column_C = grown(self.next_C, place + 1, -1), grown(self.column_C, place + 1, 0)
            self.amount_C = grown(self.amount_C, place + 1, 0)
        self.next_C[place], self.column_C[place], self.amount_C[place] = self.head_R[row], column, 0
        self.head_R[row] = self._place[row << 32 | column] = place
        self._empty += 1
        return place

    def _drop_empty_cells(self) -> None:
        kept = [(key, self.amount_C[place]) for key, place in self._place.items() if self.amount_C[place] != 0]
        self.head_R[:] = -1
        self._make_cells(MIN_CELLS)
        for key, amount in kept:
            self.add(key >> 32, key & 0xFFFFFFFF, amount)

    def _make_cells(self, room: int) -> None:
        self._place, self._empty = {}, 0
        self.next_C, self.column_C = np.full(room, -1, np.int32), np.zeros(room, np.int32)
        self.amount_C = np.zeros(room)


def parts(matrix: sp.csr_matrix) -> Parts:
    """Starts, columns and values of a matrix, as plain arrays: numba does not know the mapped ones of a bundle."""
    return np.asarray(matrix.indptr), np.asarray(matrix.indices), np.asarray(matrix.data)


def grown(values: NDArray[Number], length: int, empty: float) -> NDArray[Number]:
    """An array with at least so many values, and a quarter more if it must be copied."""
    if length <= len(values):
        return values
    copied = np.full((length + length // 4, *values.shape[1:]), empty, values.dtype)
    copied[: len(values)] = values
    return copied
