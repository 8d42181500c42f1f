"""The expansion of beams by tensor operations, for CUDA.

The children of all beams, the *candidates*, are gathered into one list, and the best of each row are selected. There is
no loop over rows or beams, and on CUDA no synchronisation with the host.

Shapes: R rows; B beams of all rows together, row after row; K beams of the row with the most; X = R · (K + 1) slots;
S = K + 1 slots of a row; T candidates of all rows; E edges of the node with the most; C codes of the level; F filter
bitmaps; D dead edges of all rows.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from catalog.search.beam_layout import DEAD, BeamLayout, Beams
from catalog.search.device_index import DeviceIndex
from catalog.search.guidance import Guidance
from catalog.search.restriction import FilterBitmap, Restriction

__all__ = ["TorchExpansion"]

LEAST = torch.finfo(torch.float32).min
"""The least total of log-probabilities; where all of them are infinite, subtracting that would give no numbers."""


class TorchExpansion:
    """Expands the beams of one batch on the device of the index; see `catalog.search.beam.Expansion`."""

    def __init__(self, device_index: DeviceIndex, restriction: Restriction | None, guidance: Guidance | None) -> None:
        self._device_index = device_index
        self._bounds = None if guidance is None else _Bounds(device_index, guidance)
        self._limits = None if restriction is None else _Limits(device_index, restriction)

    def expand(self, level: int, now: BeamLayout, then: BeamLayout, beams: Beams, logp_BC: Tensor) -> Beams:
        """The best live children of `beams`."""
        low_B, high_B = self._device_index.children[level].index_select(0, beams.node_B).unbind(1)
        count_B = (high_B - low_B) * (beams.cost_B != DEAD)
        low_X, count_X = now.spread(torch.stack([low_B, count_B], 1), 0).unbind(1)
        length = self._pad_rows(level, now, then, count_X.view(now.rows, -1))
        shift_X = low_X - (count_X.cumsum(0, dtype=torch.int32) - count_X)  # from a candidate's position to its edge
        cost_XC = now.spread(beams.cost_B[:, None] - logp_BC, DEAD)

        slot_T = torch.repeat_interleave(count_X, output_size=now.rows * length)
        edge_T = torch.arange(len(slot_T), dtype=torch.int32, device=slot_T.device)
        edge_T += shift_X.index_select(0, slot_T)
        code_T = self._device_index.code[level].index_select(0, edge_T)
        cost_T = cost_XC.view(-1).index_select(0, slot_T * cost_XC.shape[1] + code_T)
        if self._limits is not None:
            self._limits.mask(level, now, cost_T, edge_T, beams, shift_X)
        priority_T = cost_T
        if self._bounds is not None:
            priority_T = self._bounds.priorities(level, now, cost_T, edge_T, beams, shift_X)

        best = sort_key(priority_T, edge_T).view(now.rows, length).topk(then.widest, largest=False)
        row_start = torch.arange(0, len(slot_T), length, device=slot_T.device)
        chosen_B = then.pack(best.indices + row_start[:, None])
        priority_B = key_cost(then.pack(best.values))
        return Beams(
            priority_B=priority_B,
            cost_B=priority_B if self._bounds is None else cost_T.index_select(0, chosen_B),
            node_B=edge_T.index_select(0, chosen_B),
            parent_B=now.beam_X.index_select(0, slot_T.index_select(0, chosen_B)),
            code_B=code_T.index_select(0, chosen_B),
        )

    def over_children(self, level: int, beams: Beams, logp_BC: Tensor) -> Tensor:
        """The log-probabilities normalised over the children of each beam."""
        code = self._device_index.code[level]
        low_B, high_B = self._device_index.children[level].index_select(0, beams.node_B).unbind(1)
        edge_BE = low_B[:, None] + torch.arange(self._device_index.index.fan_out[level], device=code.device)
        code_BE = code.index_select(0, edge_BE.clamp(max=len(code) - 1).view(-1)).view_as(edge_BE)
        logp_BE = logp_BC.gather(1, code_BE.long()).masked_fill_(edge_BE >= high_B[:, None], -torch.inf)
        total_B1 = torch.logsumexp(logp_BE, 1, keepdim=True).clamp_(min=LEAST)
        return (logp_BC - total_B1).clamp_(max=0)  # rounding may make it positive

    def _pad_rows(self, level: int, now: BeamLayout, then: BeamLayout, count_RS: Tensor) -> int:
        """Give every row dead candidates in its last slot until all are equally long; returns that length."""
        total_R = count_RS.sum(1, dtype=torch.int32)
        if count_RS.is_cuda:  # an upper bound, because reading the sum would wait for the device
            most = min(self._device_index.edges[level], now.widest * self._device_index.index.fan_out[level])
        else:
            most = int(total_R.max())
        length = max(most, then.widest)
        count_RS[:, -1] = length - total_R
        return length


@dataclass(frozen=True, slots=True)
class _RowEdges:
    """Some edges of one level, each of a row.

    key_D: row * nodes + the node of the edge, int64.
    edge_D: the edge, int64.
    """

    key_D: Tensor
    edge_D: Tensor

    def positions(self, nodes: int, now: BeamLayout, beams: Beams, shift_X: Tensor) -> tuple[Tensor, Tensor]:
        """The position of each among the candidates, int64 [D], and whether it is there, bool [D]; 0 where it is not.

        nodes: number of nodes of the level.
        """
        key_B = torch.where(beams.cost_B != DEAD, now.row_B * nodes + beams.node_B, -1)
        key_B, beam_B = key_B.sort()
        found_D = torch.searchsorted(key_B, self.key_D).clamp_(max=len(key_B) - 1)
        reached_D = key_B.index_select(0, found_D) == self.key_D
        slot_D = now.slot_B.index_select(0, beam_B.index_select(0, found_D))
        return torch.where(reached_D, self.edge_D - shift_X.index_select(0, slot_D), 0), reached_D


class _Bounds:
    """A guidance as tensors, and what it makes of the costs of candidates."""

    def __init__(self, device_index: DeviceIndex, guidance: Guidance) -> None:
        self._device_index = device_index
        self._weight_R1, self._offset_R1, self._static_weight_R1 = (
            self._tensor(array[:, None]) for array in (guidance.weight_R, guidance.offset_R, guidance.static_weight_R)
        )
        static = guidance.static
        extremes = () if static is None else zip(static.highest, static.lowest, strict=True)
        self._static = [(self._tensor(high), self._tensor(low)) for high, low in extremes]
        self._listed: list[tuple[_RowEdges, Tensor] | None] = []
        for level, bounds in enumerate(guidance.levels):
            nodes = len(device_index.children[level])
            key_P = self._tensor(bounds.row_P * nodes + bounds.node_P)
            edges = _RowEdges(key_P, self._tensor(bounds.edge_P))
            self._listed.append((edges, self._tensor(bounds.bound_P)) if len(bounds.edge_P) > 0 else None)

    def priorities(
        self, level: int, now: BeamLayout, cost_T: Tensor, edge_T: Tensor, beams: Beams, shift_X: Tensor
    ) -> Tensor:
        """The priority of every candidate, float32 [T]."""
        listed = self._listed[level]
        bound_T1 = torch.zeros(len(cost_T) + 1, device=cost_T.device)  # the last is nobody's
        bound_RT = bound_T1[:-1].view(now.rows, -1)
        if self._static:
            high_RT, low_RT = (values.index_select(0, edge_T).view(now.rows, -1) for values in self._static[level])
            weight_R1 = self._static_weight_R1
            bound_RT.copy_(weight_R1 * torch.where(weight_R1 >= 0, high_RT, low_RT))
        if listed is not None:
            edges, bound_P = listed
            nodes = len(self._device_index.children[level])
            position_P, reached_P = edges.positions(nodes, now, beams, shift_X)
            bound_T1.index_copy_(0, torch.where(reached_P, position_P, len(cost_T)), bound_P)
        cost_RT = cost_T.view(now.rows, -1)
        priority_RT = self._weight_R1 * cost_RT + (self._offset_R1 - bound_RT)
        return torch.where(cost_RT == DEAD, DEAD, priority_RT).view(-1)  # as no weight makes 0 of DEAD

    def _tensor(self, array: NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self._device_index.device)


class _Limits:
    """A restriction as tensors: for every level, the live edges of each filter, and the dead edges of deny lists."""

    def __init__(self, device_index: DeviceIndex, restriction: Restriction) -> None:
        self._device_index = device_index
        filters, filter_R = _filters(device_index, restriction)
        self._filter_R = self._tensor(filter_R)
        self._alive = [
            self._tensor(np.concatenate([_alive(device_index, level, chosen) for chosen in filters]))
            if filters
            else None
            for level in range(device_index.depth)
        ]
        denying_R = ~restriction.allowing_R
        row_D = np.repeat(np.arange(len(filter_R)), np.diff(restriction.listed_end_R, prepend=0))
        outside = denying_R[row_D]
        self._dead = self._dead_edges(row_D[outside], restriction.listed_D[outside], filters, filter_R)

    def mask(self, level: int, now: BeamLayout, cost_T: Tensor, edge_T: Tensor, beams: Beams, shift_X: Tensor) -> None:
        """Set the cost of candidates that are not live to DEAD."""
        alive, dead = self._alive[level], self._dead[level]
        if alive is not None:
            entry_RT = edge_T.view(now.rows, -1) + self._filter_R[:, None] * self._device_index.edges[level]
            cost_T.masked_fill_(~alive.index_select(0, entry_RT.view(-1)), DEAD)
        if dead is not None:
            position_D, reached_D = dead.positions(len(self._device_index.children[level]), now, beams, shift_X)
            cost_T.index_add_(0, position_D, torch.where(reached_D, DEAD, 0.0))

    def _tensor(self, array: NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(array).to(self._device_index.device)

    def _dead_edges(
        self,
        row_D: NDArray[np.int64],
        leaf_D: NDArray[np.int64],
        filters: list[FilterBitmap],
        filter_R: NDArray[np.int64],
    ) -> list[_RowEdges | None]:
        index = self._device_index.index
        count_FN = np.stack([chosen.count for chosen in filters]) if filters else None
        dead: list[_RowEdges | None] = []
        node_D, nodes = np.zeros_like(leaf_D), 1
        for level in range(index.depth):
            start = index.leaf_start(level + 1)
            edge_D = np.searchsorted(start, leaf_D, side="right") - 1
            # the denied leaves of one row below one edge are neighbours and form a run
            begins = np.ones(len(leaf_D), bool)
            begins[1:] = (edge_D[1:] != edge_D[:-1]) | (row_D[1:] != row_D[:-1])
            first = np.flatnonzero(begins)
            gone = np.diff(np.append(first, len(leaf_D)))
            row, edge, node = row_D[first], edge_D[first], node_D[first]
            low, high = start[edge], start[edge + 1]
            wanted = high - low if count_FN is None else count_FN[filter_R[row], high] - count_FN[filter_R[row], low]
            killed = gone == wanted
            keys = self._tensor((row * nodes + node)[killed])
            dead.append(_RowEdges(keys, self._tensor(edge[killed])) if killed.any() else None)
            node_D, nodes = edge_D, len(start) - 1
        return dead


def _filters(device_index: DeviceIndex, restriction: Restriction) -> tuple[list[FilterBitmap], NDArray[np.int64]]:
    """The distinct filter bitmaps, and the number of every row's; no bitmaps if no row has one."""
    rows = len(restriction.wanted_R)
    if not restriction.allowing_R.any() and all(chosen is None for chosen, _ in restriction.groups):
        return [], np.zeros(rows, np.int64)
    filters: list[FilterBitmap] = []
    filter_R = np.zeros(rows, np.int64)
    for chosen, row_G in restriction.groups:
        filter_R[row_G] = len(filters)
        filters.append(
            FilterBitmap(device_index.index, np.arange(len(device_index.index))) if chosen is None else chosen
        )
    for row in np.flatnonzero(restriction.allowing_R):
        filter_R[row] = len(filters)
        begin = restriction.listed_end_R[row - 1] if row > 0 else 0
        filters.append(FilterBitmap(device_index.index, restriction.listed_D[begin : restriction.listed_end_R[row]]))
    return filters, filter_R


def _alive(device_index: DeviceIndex, level: int, chosen: FilterBitmap) -> NDArray[np.bool_]:
    """Which edges of `level` have a leaf that the filter lets through below them, bool [edges]."""
    at_start = chosen.count[device_index.index.leaf_start(level + 1)]
    alive: NDArray[np.bool_] = at_start[1:] > at_start[:-1]
    return alive


def sort_key(cost_T: Tensor, edge_T: Tensor) -> Tensor:
    """Distinct int64 keys in the order of (cost, edge): the bits of a float that is not negative sort as it does."""
    return cost_T.view(torch.int32).long().bitwise_left_shift_(32).add_(edge_T)


def key_cost(key_B: Tensor) -> Tensor:
    """The costs of keys that `sort_key` has made."""
    return (key_B >> 32).int().view(torch.float32)
