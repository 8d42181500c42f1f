"""The expansion of beams on a CPU: one pass, compiled by numba, over the children of each row's beams.

A bounded heap of the best children so far avoids most of the work. A child that is not better than the worst of the
heap is skipped before it is checked whether it is live, and a beam that is itself worse is skipped with all its
children: none is better than its beam, as costs only rise and bounds only fall. The heap is own code, because numba
compiles `heapq` for lists only, not for these arrays.

Shapes: R rows, G of them with one filter; B beams before and A after of all rows together, K after of one row;
C codes of the level; D listed leaves of the restriction; P edges above listed leaves of the guidance; e edges.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from catalog.search.beam_layout import DEAD, BeamLayout, Beams
from catalog.search.device_index import DeviceIndex
from catalog.search.guidance import Guidance
from catalog.search.guidance_bounds import compiled
from catalog.search.restriction import Restriction

__all__ = ["NumbaExpansion"]

NO_FILTER = np.empty(0, np.int32)
"""The `count` of rows without a filter."""

NO_STATIC = np.empty(0, np.float32)
"""The static bounds of a search without a static prior."""

LEAST = np.finfo(np.float32).min
"""The least total of log-probabilities; where all of them are infinite, subtracting that would give no numbers."""

BEAM_TYPES = (np.float32, np.float32, np.int32, np.int32, np.int32)
"""The types of the arrays of Beams."""


class NumbaExpansion:
    """Expands the beams of one batch on the CPU; see `catalog.search.beam.Expansion`."""

    def __init__(
        self, device_index: DeviceIndex, restriction: Restriction | None, guidance: Guidance | None, rows: int
    ) -> None:
        self._device_index = device_index
        self._guidance = guidance
        self._unguided = (
            *(np.ones(rows, np.float32), np.zeros(rows, np.float32), np.zeros(rows, np.float32)),
            *(NO_STATIC, NO_STATIC, np.empty(0, np.int64), NO_STATIC, np.zeros(rows, np.int64)),
        )
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
        before = (beams.priority_B.numpy(), beams.cost_B.numpy(), beams.node_B.numpy(), logp_BC.contiguous().numpy())
        after: list[NDArray[Any]] = [np.empty(then.beams, kind) for kind in BEAM_TYPES]
        for row_G, count in self._groups:
            _keep_best(
                row_G,
                now.end_R,
                then.end_R,
                *before,
                *self._device_index.levels[level],
                count,
                *self._listed,
                *self._bounds(level),
                *after,
            )
        return Beams(*map(torch.from_numpy, after))

    def over_children(self, level: int, beams: Beams, logp_BC: Tensor) -> Tensor:
        """The log-probabilities normalised over the children of each beam."""
        normalized_BC = torch.empty_like(logp_BC, memory_format=torch.contiguous_format)
        code, first_child, _ = self._device_index.levels[level]
        _normalize(beams.node_B.numpy(), logp_BC.contiguous().numpy(), code, first_child, normalized_BC.numpy())
        return normalized_BC

    def _bounds(self, level: int) -> tuple[NDArray[Any], ...]:
        if self._guidance is None:
            return self._unguided
        guidance, listed, static = self._guidance, self._guidance.levels[level], self._guidance.static
        extremes = (NO_STATIC, NO_STATIC) if static is None else (static.highest[level], static.lowest[level])
        return (
            *(guidance.weight_R, guidance.offset_R, guidance.static_weight_R, *extremes),
            *(listed.edge_P, listed.bound_P, listed.end_R),
        )


@compiled
def _keep_best(
    row_G: NDArray[np.int64],
    end_R: NDArray[np.int64],
    kept_end_R: NDArray[np.int64],
    priority_B: NDArray[np.float32],
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
    weight_R: NDArray[np.float32],
    offset_R: NDArray[np.float32],
    static_weight_R: NDArray[np.float32],
    highest: NDArray[np.float32],
    lowest: NDArray[np.float32],
    edge_P: NDArray[np.int64],
    bound_P: NDArray[np.float32],
    bound_end_R: NDArray[np.int64],
    priority_A: NDArray[np.float32],
    cost_A: NDArray[np.float32],
    node_A: NDArray[np.int32],
    parent_A: NDArray[np.int32],
    code_A: NDArray[np.int32],
) -> None:
    """Write the best live children of the rows `row_G`, best first and lower edges first among equals.

    Where a row has fewer live children than beams to keep, dead beams fill the rest. The children are written to the
    arrays that end in `_A`.
    """
    for row in row_G:
        first, last = _span(end_R, row)
        begin, end = _span(kept_end_R, row)
        listed_begin, listed_end = _span(listed_end_R, row)
        bound_begin, bound_end = _span(bound_end_R, row)
        own_D, allowing = listed_D[listed_begin:listed_end], allowing_R[row]
        restricted = allowing or len(own_D) > 0 or len(count) > 0
        own_P, own_bound_P = edge_P[bound_begin:bound_end], bound_P[bound_begin:bound_end]
        weight, offset, static_weight = weight_R[row], offset_R[row], static_weight_R[row]
        static = highest if static_weight >= 0 else lowest
        priority_K, edge_K, beam_K = priority_A[begin:end], node_A[begin:end], parent_A[begin:end]
        kept = 0
        for beam in range(first, last):
            so_far, node = cost_B[beam], node_B[beam]
            full = kept == end - begin
            if so_far == DEAD or (full and (kept == 0 or priority_B[beam] > priority_K[0])):
                continue
            place = _below(own_P, first_child[node])
            for edge in range(first_child[node], first_child[node + 1]):
                listed = place < len(own_P) and own_P[place] == edge
                place += listed
                priority = weight * (so_far - logp_BC[beam, code[edge]])
                full = kept == end - begin
                if full and priority > priority_K[0]:
                    continue
                if listed:
                    priority += offset - own_bound_P[place - 1]
                else:
                    priority += offset - _static_bound(static_weight, static, edge)
                if full and not _before(priority, edge, priority_K[0], edge_K[0]):
                    continue
                if restricted and not _is_live(first_leaf[edge], first_leaf[edge + 1], count, own_D, allowing):
                    continue
                if full:
                    _sink(priority_K, edge_K, beam_K, kept, priority, edge, beam)
                else:
                    _rise(priority_K, edge_K, beam_K, kept, priority, edge, beam)
                    kept += 1
        _sort(priority_K, edge_K, beam_K, kept)
        priority_K[kept:], edge_K[kept:], beam_K[kept:] = DEAD, 0, first
        for place in range(begin, end):
            code_A[place] = code[node_A[place]]
            beam = parent_A[place]
            cost_A[place] = cost_B[beam] - logp_BC[beam, code_A[place]] if place < begin + kept else DEAD


@compiled
def _normalize(
    node_B: NDArray[np.int32],
    logp_BC: NDArray[np.float32],
    code: NDArray[Any],
    first_child: NDArray[np.int32],
    normalized_BC: NDArray[np.float32],
) -> None:
    """Write log-probabilities whose exponentials sum to one over the children of each beam's node.

    The columns of codes that are no child's are not written.
    """
    for beam in range(len(node_B)):
        begin, end = first_child[node_B[beam]], first_child[node_B[beam] + 1]
        best = LEAST
        for edge in range(begin, end):
            best = max(best, logp_BC[beam, code[edge]])
        share = 0.0
        for edge in range(begin, end):
            share += np.exp(logp_BC[beam, code[edge]] - best)
        total = np.float32(best + np.log(share)) if share > 0 else LEAST
        for edge in range(begin, end):
            normalized_BC[beam, code[edge]] = min(np.float32(0), logp_BC[beam, code[edge]] - total)


@compiled
def _span(end_R: NDArray[np.int64], row: int) -> tuple[int, int]:
    """The begin and the end of a row's entries."""
    return (end_R[row - 1] if row > 0 else 0), end_R[row]


@compiled
def _static_bound(static_weight: np.float32, static: NDArray[np.float32], edge: int) -> np.float32:
    return static_weight * static[edge] if len(static) > 0 else static_weight * np.float32(0)


@compiled
def _before(priority: float, edge: int, other_priority: float, other_edge: int) -> bool:
    return priority < other_priority or (priority == other_priority and edge < other_edge)


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
    priority_K: NDArray[np.float32],
    edge_K: NDArray[np.int32],
    beam_K: NDArray[np.int32],
    place: int,
    priority: float,
    edge: int,
    beam: int,
) -> None:
    """Add an entry to the heap, whose root is the worst entry, at the position `place` behind its end."""
    while place > 0:
        above = (place - 1) >> 1
        if not _before(priority_K[above], edge_K[above], priority, edge):
            break
        priority_K[place], edge_K[place], beam_K[place] = priority_K[above], edge_K[above], beam_K[above]
        place = above
    priority_K[place], edge_K[place], beam_K[place] = priority, edge, beam


@compiled
def _sink(
    priority_K: NDArray[np.float32],
    edge_K: NDArray[np.int32],
    beam_K: NDArray[np.int32],
    size: int,
    priority: float,
    edge: int,
    beam: int,
) -> None:
    """Replace the root of a heap of `size` entries by another entry."""
    place, below = 0, 1
    while below < size:
        if below + 1 < size and _before(priority_K[below], edge_K[below], priority_K[below + 1], edge_K[below + 1]):
            below += 1
        if not _before(priority, edge, priority_K[below], edge_K[below]):
            break
        priority_K[place], edge_K[place], beam_K[place] = priority_K[below], edge_K[below], beam_K[below]
        place, below = below, 2 * below + 1
    priority_K[place], edge_K[place], beam_K[place] = priority, edge, beam


@compiled
def _sort(priority_K: NDArray[np.float32], edge_K: NDArray[np.int32], beam_K: NDArray[np.int32], size: int) -> None:
    """Sort the heap in ascending order, as heapsort does."""
    for last in range(size - 1, 0, -1):
        priority, edge, beam = priority_K[last], edge_K[last], beam_K[last]
        priority_K[last], edge_K[last], beam_K[last] = priority_K[0], edge_K[0], beam_K[0]
        _sink(priority_K, edge_K, beam_K, last, priority, edge, beam)
