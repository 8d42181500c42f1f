"""The bounds of guided searches, compiled by numba: NumPy would spend most of its time on the calls.

Shapes: R rows; e edges of a level; P listed leaves of all rows together, or the edges above them.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["bounds_of_level", "compiled"]

Floats = NDArray[np.float32]
Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Compile a function at its first call, and cache the machine code in __pycache__ or NUMBA_CACHE_DIR."""
    machine_code: Function = njit(cache=True, nogil=True, error_model="numpy")(function)
    return machine_code


@compiled
def bounds_of_level(
    start: NDArray[Any],
    node_P: NDArray[np.int64],
    leaf_P: NDArray[np.int64],
    value_P: Floats,
    end_R: NDArray[np.int64],
    static_weight_R: Floats,
    highest: Floats,
    lowest: Floats,
) -> tuple[
    NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], Floats, NDArray[np.int64], NDArray[np.int64], Floats
]:
    """The edge above each listed leaf, and the fields of a LevelBounds; at last the greatest bound of each row.

    start: where the leaves below each edge begin, and where those of the last end.
    node_P: the node above each listed leaf from which its edge leaves.
    leaf_P, value_P: the listed leaves, row after row, ascending within a row, and g of each.
    end_R: the end of every row's leaves.
    highest, lowest: of the static prior below each edge; empty where there is none.
    """
    listed = len(leaf_P)
    above_P, edge_P, from_P = np.empty(listed, np.int64), np.empty(listed, np.int64), np.empty(listed, np.int64)
    bound_P, row_P = np.empty(listed, np.float32), np.empty(listed, np.int64)
    ends, most_R = np.empty(len(end_R), np.int64), np.full(len(end_R), -np.inf, np.float32)
    count, place = 0, 0
    for row in range(len(end_R)):
        weight = static_weight_R[row]
        static = highest if weight >= 0 else lowest
        while place < end_R[row]:
            edge = np.searchsorted(start, leaf_P[place], side="right") - 1
            edge_P[count], from_P[count], row_P[count] = edge, node_P[place], row
            bound, begin = value_P[place], place
            while place < end_R[row] and leaf_P[place] < start[edge + 1]:
                bound = max(bound, value_P[place])
                above_P[place] = edge
                place += 1
            if place - begin < start[edge + 1] - start[edge]:  # there are others, of which none is listed
                bound = max(bound, weight * static[edge] if len(static) > 0 else np.float32(0))
            bound_P[count] = bound
            most_R[row] = max(most_R[row], bound)
            count += 1
        ends[row] = count
    return above_P, edge_P[:count], from_P[:count], bound_P[:count], row_P[:count], ends, most_R
