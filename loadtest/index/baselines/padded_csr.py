"""A trie as sparse transition matrices with explicit child pointers, after Google's STATIC (arXiv 2602.22647).

The first two levels are dense tables. Below, a node's children are one run of (code, next node) pairs, and every step
reads as many pairs for each beam as the widest node of the level has, whatever its own number. So shapes are fixed,
which accelerators need, and no step branches or searches.

Shapes: R requests, W beams of each, B = R · W, C codes, M children of the widest node of a level, K beams kept,
l codes of a prefix, e edges and n nodes of a level.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["PaddedCsr"]

DENSE_LEVELS = 2


class PaddedCsr:
    """A trie of paths int64 [N, L] in any order, with codes below `size`."""

    def __init__(self, codes_NL: NDArray[np.int64], size: int) -> None:
        self._size = size
        depth = codes_NL.shape[1]
        number_N = codes_NL @ (size ** np.arange(depth - 1, -1, -1))
        number_N.sort()
        self._dense: list[Tensor] = []
        """For every dense level, the next node of (node, code), or -1: int32 [n * C]."""
        self._start: list[Tensor] = []
        """For every sparse level, each node's first edge: int32 [n + 1]."""
        self._edges: list[Tensor] = []
        """For every sparse level, the code and the next node of each edge, and M more: int32 [e + M, 2]."""
        self._branch: list[int] = []
        """For every level, M."""
        parent_n = np.zeros(1, np.int64)
        for level in range(depth):
            prefix_e = np.unique(number_N // size ** (depth - 1 - level))
            parent_e, code_e = np.searchsorted(parent_n, prefix_e // size), prefix_e % size
            self._add_level(level, parent_e, code_e, len(parent_n))
            parent_n = prefix_e

    def _add_level(self, level: int, parent_e: NDArray[np.int64], code_e: NDArray[np.int64], nodes: int) -> None:
        if level < DENSE_LEVELS:
            table = np.full(nodes * self._size, -1, np.int32)
            table[parent_e * self._size + code_e] = np.arange(len(code_e))
            self._dense.append(torch.from_numpy(table))
            self._branch.append(self._size)
            return
        start = np.searchsorted(parent_e, np.arange(nodes + 1))
        branch = int(np.diff(start).max())
        pairs = np.zeros((len(code_e) + branch, 2), np.int32)  # M more, because a step reads M pairs from any node on
        pairs[: len(code_e)] = np.stack([code_e, np.arange(len(code_e))], 1)
        self._start.append(torch.from_numpy(start.astype(np.int32)))
        self._edges.append(torch.from_numpy(pairs))
        self._branch.append(branch)

    @property
    def nbytes(self) -> int:
        """Bytes of all tables."""
        return sum(table.nbytes for table in (*self._dense, *self._start, *self._edges))

    def locate(self, prefix_Bl: NDArray[np.int64]) -> tuple[int, Tensor]:
        """The state of beams with these prefixes, for `step`: their level, and the node [B] of each."""
        node_B = torch.zeros(len(prefix_Bl), dtype=torch.int32)
        for level, code_B in enumerate(torch.from_numpy(prefix_Bl).unbind(1)):
            code_BM, next_BM = self._children(level, node_B)
            found = (code_BM == code_B[:, None]) & (next_BM >= 0)
            node_B = next_BM.gather(1, found.int().argmax(1, keepdim=True))[:, 0]
        return prefix_Bl.shape[1], node_B

    def step(self, place: tuple[int, Tensor], cost_RW: Tensor, logp_BC: Tensor, keep: int) -> tuple[Tensor, ...]:
        """The costs [R, K] of the best children, their parents among the W, their codes and their nodes."""
        level, node_B = place
        code_BM, next_BM = self._children(level, node_B)
        logp_BM = logp_BC if level < DENSE_LEVELS else logp_BC.gather(1, code_BM.long())
        score_BM = (logp_BM - cost_RW.view(-1, 1)).masked_fill_(next_BM < 0, -torch.inf)
        rows, branch = len(cost_RW), code_BM.shape[1]
        best = score_BM.view(rows, -1).topk(keep)
        code_RK, next_RK = (value.reshape(rows, -1).gather(1, best.indices) for value in (code_BM, next_BM))
        return -best.values, best.indices // branch, code_RK, next_RK

    def _children(self, level: int, node_B: Tensor) -> tuple[Tensor, Tensor]:
        """The code and the next node of every child, [B, M]; next is -1 where there is no child."""
        place_M = torch.arange(self._branch[level], dtype=torch.int32)
        if level < DENSE_LEVELS:
            next_BM = self._dense[level].view(-1, self._size).index_select(0, node_B)
            return place_M.expand_as(next_BM), next_BM
        start = self._start[level - DENSE_LEVELS]
        low_B = start.index_select(0, node_B)
        count_B = start.index_select(0, node_B + 1) - low_B
        edge_B = (low_B[:, None] + place_M).view(-1)
        pair_BM = self._edges[level - DENSE_LEVELS].index_select(0, edge_B).view(len(node_B), -1, 2)
        return pair_BM[..., 0], pair_BM[..., 1].masked_fill(place_M >= count_B[:, None], -1)
