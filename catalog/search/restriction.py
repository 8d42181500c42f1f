"""Which leaves each row of a batch wants, and which nodes are dead because none is left below them.

Both ways to say it rest on leaf intervals. A *leaf set* (a filter, shared by many requests) has a running count of
its leaves, and a node with leaves [low, high) lives iff count[high] > count[low]. *Excluded* leaves (seen items, a
few per request) kill a node iff it has as many of them as it has leaves of the set; the few such nodes are listed.

Shapes: N items, R rows, e edges of a level, F leaf sets, D excluded leaves or dead edges of all rows together.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from catalog.errors import ItemIndexError
from catalog.index import ItemIndex

__all__ = ["DeadEdges", "LeafSet", "Restriction", "check_leaves"]

Leaves = NDArray[np.integer]


def check_leaves(leaves: Leaves, index: ItemIndex, what: str) -> None:
    """Raise ItemIndexError unless `leaves` is strictly increasing and within the catalogue."""
    if leaves.ndim != 1 or (leaves.size > 0 and leaves.dtype.kind not in "iu"):
        raise ItemIndexError(f"{what} leaves must be a list of leaf numbers, got {leaves.dtype} {leaves.shape}")
    if leaves.size == 0:
        return
    if (leaves[1:] <= leaves[:-1]).any():
        raise ItemIndexError(f"{what} leaves must be strictly increasing: sort them and drop repeats")
    if leaves[0] < 0 or leaves[-1] >= len(index):
        raise ItemIndexError(f"{what} leaves [{leaves[0]}, {leaves[-1]}] reach outside the {len(index)} of the index")


class LeafSet:
    """A set of leaves that requests may be limited to. Raises ItemIndexError if `leaves` is not strictly increasing.

    count: how many of the set lie below each leaf number, int32 [N + 1].
    """

    def __init__(self, index: ItemIndex, leaves: Leaves) -> None:
        check_leaves(leaves, index, "allowed")
        member = np.zeros(len(index) + 1, np.int32)
        member[1:][leaves] = 1
        self.count: NDArray[np.int32] = member.cumsum(dtype=np.int32)
        self._index = index

    def alive(self, level: int) -> NDArray[np.bool_]:
        """Which edges of `level` have a leaf of the set below them, bool [e]."""
        at_start = self.count[self._index.leaf_start(level + 1)]
        return at_start[1:] > at_start[:-1]


@dataclass(frozen=True, slots=True)
class DeadEdges:
    """Edges of one level that exclusions have killed. key_D: row * nodes + node they leave, int64. edge_D: int64."""

    key_D: Tensor
    edge_D: Tensor


class Restriction:
    """What the rows of one batch exclude, and the leaf set each is limited to (None: the whole catalogue).

    wanted_R: how many leaves each row can get.
    dead: per level, the edges killed by exclusions, or None.
    alive: per level, the living edges of every leaf set, bool [F * e], or None when no row has a set.
    set_R: the leaf set of every row.
    """

    def __init__(
        self,
        index: ItemIndex,
        excluded: Sequence[Leaves],
        allowed: Sequence[LeafSet | None] | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self._index = index
        self._device = torch.device(device)
        for leaves in excluded:
            check_leaves(leaves, index, "excluded")
        set_R, sets = _distinct(index, allowed if allowed is not None else [None] * len(excluded))
        self._count_FN = np.stack([chosen.count for chosen in sets]) if sets else None
        self._set_R = set_R
        self.set_R = torch.from_numpy(set_R).to(device)
        self.alive = [
            self._tensor(np.concatenate([chosen.alive(level) for chosen in sets])) if sets else None
            for level in range(index.depth)
        ]
        row_D = np.repeat(np.arange(len(excluded)), [len(leaves) for leaves in excluded])
        leaf_D = np.concatenate([np.asarray(leaves, np.int64) for leaves in excluded])
        member_D = self._wanted(row_D, leaf_D, leaf_D + 1) > 0
        row_D, leaf_D = row_D[member_D], leaf_D[member_D]
        rows = np.arange(len(excluded))
        whole_R = self._wanted(rows, np.zeros_like(rows), np.full_like(rows, len(index)))
        self.wanted_R = whole_R - np.bincount(row_D, minlength=len(rows))
        self.dead = self._dead_edges(row_D, leaf_D)

    def _tensor(self, array: NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(array).to(self._device)

    def _wanted(self, row_D: NDArray[np.int64], low_D: Leaves, high_D: Leaves) -> NDArray[np.int64]:
        """How many leaves in [low, high) are in the set of the row, exclusions apart."""
        if self._count_FN is None:
            return (high_D - low_D).astype(np.int64)
        set_D = self._set_R[row_D]
        return (self._count_FN[set_D, high_D] - self._count_FN[set_D, low_D]).astype(np.int64)

    def _dead_edges(self, row_D: NDArray[np.int64], leaf_D: NDArray[np.int64]) -> list[DeadEdges | None]:
        dead: list[DeadEdges | None] = []
        node_D, nodes = np.zeros_like(leaf_D), 1
        for level in range(self._index.depth):
            start = self._index.leaf_start(level + 1)
            edge_D = np.searchsorted(start, leaf_D, side="right") - 1
            # the excluded leaves of one row below one edge are neighbours: a run
            begins = np.ones(len(leaf_D), bool)
            begins[1:] = (edge_D[1:] != edge_D[:-1]) | (row_D[1:] != row_D[:-1])
            first = np.flatnonzero(begins)
            gone = np.diff(np.append(first, len(leaf_D)))
            row, edge, node = row_D[first], edge_D[first], node_D[first]
            killed = gone == self._wanted(row, start[edge], start[edge + 1])
            keys = self._tensor((row * nodes + node)[killed])
            dead.append(DeadEdges(keys, self._tensor(edge[killed])) if killed.any() else None)
            node_D, nodes = edge_D, len(start) - 1
        return dead


def _distinct(index: ItemIndex, allowed: Sequence[LeafSet | None]) -> tuple[NDArray[np.int64], list[LeafSet]]:
    """The number of each row's set, and the sets; no sets if no row has one."""
    if all(chosen is None for chosen in allowed):
        return np.zeros(len(allowed), np.int64), []
    everything = LeafSet(index, np.arange(len(index))) if None in allowed else None
    number: dict[int, int] = {}
    sets: list[LeafSet] = []
    set_R = np.zeros(len(allowed), np.int64)
    for row, chosen in enumerate(allowed):
        member = chosen or everything
        assert member is not None
        if id(member) not in number:
            number[id(member)] = len(sets)
            sets.append(member)
        set_R[row] = number[id(member)]
    return set_R, sets
