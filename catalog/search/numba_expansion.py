"""The expansion of beams on a CPU: one pass, compiled by numba, over the children of each row's beams.

A bounded heap of the best children so far avoids most of the work. A child that is not better than the worst of the
heap is skipped before it is checked whether it is live, and a beam that is itself worse is skipped with all its
children. The heap is own code, because numba compiles `heapq` for lists only, not for these arrays.

Shapes: R rows, G of them with one filter; B beams before and A after of all rows together, K after of one row;
C codes of the level; D listed leaves.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

from catalog.search.beam_layout import DEAD, BeamLayout, Beams
from catalog.search.device_index import DeviceIndex
from catalog.search.restriction import Restriction

__all__ = ["NumbaExpansion"]

NO_FILTER = np.empty(0, np.int32)
"""The `count` of rows without a filter."""

BEAM_TYPES = (np.float32, np.int32, np.int32, np.int32)
"""The types of the arrays of Beams."""

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Compile a function at its first call, and cache the machine code in __pycache__ or NUMBA_CACHE_DIR."""
    machine_code: Function = njit(cache=True, nogil=True, error_model="numpy")(function)
    return machine_code


class NumbaExpansion:
    """Expands the beams of one batch on the CPU; see `catalog.search.beam.Expansion`."""

    def __init__(self, device_index: DeviceIndex, restriction: Restriction | None, rows: int) -> None:
        self._device_index = device_index
        if restriction is None:
            self._listed = (np.empty(0, np.int64), np.zeros(rows, np.int64), np.zeros(rows, bool))
            self._groups = [(np.arange(rows), NO_FILTER)]
        else:
            self._listed = (restriction.listed_D, restriction.listed_end_R, restriction.allowing_R)
            self._groups = [
                (row_G, NO_FILTER if chosen is None else chosen.count) for chosen, row_G in restriction.groups
            ]

    def expand(self, level: int, now: BeamLayout, then: BeamLayout, beams: Beams, logp_BC: Tensor) -> Beams:
        """The best live children of `beams`."""
        before = (beams.cost_B.numpy(), beams.node_B.numpy(), logp_BC.contiguous().numpy())
        after: list[NDArray[Any]] = [np.empty(then.beams, kind) for kind in BEAM_TYPES]
        for row_G, count in self._groups:
            _keep_best(
                row_G, now.end_R, then.end_R, *before, *self._device_index.levels[level], count, *self._listed, *after
            )
        return Beams(*map(torch.from_numpy, after))


@compiled
def _keep_best(
    row_G: NDArray[np.int64],
    end_R: NDArray[np.int64],
    kept_end_R: NDArray[np.int64],
    cost_B: NDArray[np.float32],
    node_B: NDArray[np.int32],
    logp_BC: NDArray[np.float32],
    code: NDArray[Any],
    first_child: NDArray[np.int32],
    first_leaf: NDArray[np.int32],
    count: NDArray[np.int32],
    listed_D: NDArray[np.int64],
    listed_end_R: NDArray[np.int64],
    allowing_R: NDArray[np.bool_],
    cost_A: NDArray[np.float32],
    node_A: NDArray[np.int32],
    parent_A: NDArray[np.int32],
    code_A: NDArray[np.int32],
) -> None:
    """Write the best live children of the rows `row_G`, cheapest first and lower edges first among equals.

    Where a row has fewer live children than beams to keep, dead beams fill the rest. The children are written to the
    arrays that end in `_A`.
    """
    for row in row_G:
        first, last = _span(end_R, row)
        begin, end = _span(kept_end_R, row)
        listed_begin, listed_end = _span(listed_end_R, row)
        own_D, allowing = listed_D[listed_begin:listed_end], allowing_R[row]
        restricted = allowing or len(own_D) > 0 or len(count) > 0
        cost_K, edge_K, beam_K = cost_A[begin:end], node_A[begin:end], parent_A[begin:end]
        kept = 0
        for beam in range(first, last):
            so_far, node = cost_B[beam], node_B[beam]
            full = kept == end - begin
            if so_far == DEAD or (full and (kept == 0 or so_far > cost_K[0])):
                continue
            for edge in range(first_child[node], first_child[node + 1]):
                cost = so_far - logp_BC[beam, code[edge]]
                full = kept == end - begin
                if full and not _before(cost, edge, cost_K[0], edge_K[0]):
                    continue
                if restricted and not _is_live(first_leaf[edge], first_leaf[edge + 1], count, own_D, allowing):
                    continue
                if full:
                    _sink(cost_K, edge_K, beam_K, kept, cost, edge, beam)
                else:
                    _rise(cost_K, edge_K, beam_K, kept, cost, edge, beam)
                    kept += 1
        _sort(cost_K, edge_K, beam_K, kept)
        cost_K[kept:], edge_K[kept:], beam_K[kept:] = DEAD, 0, first
        for place in range(begin, end):
            code_A[place] = code[node_A[place]]


@compiled
def _span(end_R: NDArray[np.int64], row: int) -> tuple[int, int]:
    """The begin and the end of a row's entries."""
    return (end_R[row - 1] if row > 0 else 0), end_R[row]


@compiled
def _before(cost: float, edge: int, other_cost: float, other_edge: int) -> bool:
    return cost < other_cost or (cost == other_cost and edge < other_edge)


@compiled
def _is_live(low: int, high: int, count: NDArray[np.int32], listed_D: NDArray[np.int64], allowing: bool) -> bool:
    """Whether a row may return any of the leaves [low, high)."""
    if allowing:
        return bool(_below(listed_D, high) > _below(listed_D, low))
    wanted = count[high] - count[low] if len(count) > 0 else high - low
    if len(listed_D) > 0 and wanted > 0:
        wanted -= _below(listed_D, high) - _below(listed_D, low)
    return bool(wanted > 0)


@compiled
def _below(leaf_D: NDArray[np.int64], bound: int) -> int:
    """Number of the ascending leaves that are below `bound`."""
    low, high = 0, len(leaf_D)
    while low < high:
        middle = (low + high) >> 1
        if leaf_D[middle] < bound:
            low = middle + 1
        else:
            high = middle
    return low


@compiled
def _rise(
    cost_K: NDArray[np.float32],
    edge_K: NDArray[np.int32],
    beam_K: NDArray[np.int32],
    place: int,
    cost: float,
    edge: int,
    beam: int,
) -> None:
    """Add an entry to the heap, whose root is the worst entry, at the position `place` behind its end."""
    while place > 0:
        above = (place - 1) >> 1
        if not _before(cost_K[above], edge_K[above], cost, edge):
            break
        cost_K[place], edge_K[place], beam_K[place] = cost_K[above], edge_K[above], beam_K[above]
        place = above
    cost_K[place], edge_K[place], beam_K[place] = cost, edge, beam


@compiled
def _sink(
    cost_K: NDArray[np.float32],
    edge_K: NDArray[np.int32],
    beam_K: NDArray[np.int32],
    size: int,
    cost: float,
    edge: int,
    beam: int,
) -> None:
    """Replace the root of a heap of `size` entries by another entry."""
    place, below = 0, 1
    while below < size:
        if below + 1 < size and _before(cost_K[below], edge_K[below], cost_K[below + 1], edge_K[below + 1]):
            below += 1
        if not _before(cost, edge, cost_K[below], edge_K[below]):
            break
        cost_K[place], edge_K[place], beam_K[place] = cost_K[below], edge_K[below], beam_K[below]
        place, below = below, 2 * below + 1
    cost_K[place], edge_K[place], beam_K[place] = cost, edge, beam


@compiled
def _sort(cost_K: NDArray[np.float32], edge_K: NDArray[np.int32], beam_K: NDArray[np.int32], size: int) -> None:
    """Sort the heap in ascending order, as heapsort does."""
    for last in range(size - 1, 0, -1):
        cost, edge, beam = cost_K[last], edge_K[last], beam_K[last]
        cost_K[last], edge_K[last], beam_K[last] = cost_K[0], edge_K[0], beam_K[0]
        _sink(cost_K, edge_K, beam_K, last, cost, edge, beam)
