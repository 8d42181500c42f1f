"""Constrained beam search over the item index, without a model: state, legal children, exact selection.

A *row* is one request; each has its own beam width. At every level the legal, living children of a row's beams
are gathered, and the best of their cumulative scores are kept: exactly the best, ties going to the lower leaf.
Because only nodes with a wanted leaf below them are living, a search of width W ends with exactly
min(W, wanted leaves) distinct leaves, however few are wanted.

Shapes: R rows; B beams of all rows together, row after row; X slots, a row's being as many as the widest row has
beams, and one; K the widest row's beams at the next level; T candidates of all rows; C codes of the level.
There is no loop over rows or beams, and on CUDA no synchronisation with the host.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from catalog.search.restriction import Restriction
from catalog.search.tree import Tree

__all__ = ["BeamSearch", "Beams", "Layout", "Ranked"]

DEAD = float("inf")
"""The cost of a dead beam, which never comes back."""


@dataclass(frozen=True, slots=True)
class Beams:
    """The beams kept after a level, best first within a row.

    cost_B: negative log-probability so far, float32, never below zero; infinite for dead beams.
    node_B: the node of the next level it stands on, int32.
    parent_B: the beam of the level before that it continues, int32.
    code_B: its last code, int32.
    """

    cost_B: Tensor
    node_B: Tensor
    parent_B: Tensor
    code_B: Tensor


class Ranked(NamedTuple):
    """The answer of one row: leaves int64 [k], best first, and their log-probabilities float32 [k]."""

    leaves: NDArray[np.int64]
    scores: NDArray[np.float32]


class Layout:
    """How many beams every row has at a level, and where they lie. Known before anything is computed.

    beams_R: beams of every row, on the host. row_B, rank_B: the row of every beam and its place there, int64.
    """

    def __init__(self, beams_R: NDArray[np.int64], device: torch.device) -> None:
        self.beams_R = beams_R
        self.rows = len(beams_R)
        self.beams = int(beams_R.sum())
        self.widest = int(beams_R.max())
        self._even = self.beams == self.rows * self.widest
        row_B = np.repeat(np.arange(self.rows), beams_R)
        rank_B = np.arange(self.beams) - (np.cumsum(beams_R) - beams_R)[row_B]
        slot_B = row_B * (self.widest + 1) + rank_B
        beam_X = np.zeros(self.rows * (self.widest + 1), np.int32)
        beam_X[slot_B] = np.arange(self.beams)
        self.row_B, self.rank_B, self.slot_B, self.beam_X, self._place_B = (
            torch.from_numpy(array).to(device)
            for array in (row_B, rank_B, slot_B, beam_X, row_B * self.widest + rank_B)
        )

    def spread(self, value_B: Tensor, fill: float) -> Tensor:
        """From beams [B, …] to slots [X, …]. The last slot of a row, and any it does not need, hold `fill`."""
        shape = value_B.shape[1:]
        if self._even:
            edge = (0, 0) * len(shape) + (0, 1)
            return pad(value_B.view(self.rows, self.widest, *shape), edge, value=fill).view(-1, *shape)
        return value_B.new_full((len(self.beam_X), *shape), fill).index_copy_(0, self.slot_B, value_B)

    def unpack(self, value_B: Tensor) -> Tensor:
        """From beams [B, …] to [R, widest, …]; the places a row does not need hold zero."""
        shape = (self.rows, self.widest, *value_B.shape[1:])
        if self._even:
            return value_B.view(shape)
        value = value_B.new_zeros((self.rows * self.widest, *value_B.shape[1:]))
        return value.index_copy_(0, self._place_B, value_B).view(shape)

    def pack(self, value_RK: Tensor) -> Tensor:
        """From [R, widest, …] to beams [B, …]."""
        value = value_RK.flatten(0, 1)
        return value if self._even else value.index_select(0, self._place_B)


@lru_cache(maxsize=1024)
def _layout(beams: tuple[int, ...], device: torch.device) -> Layout:
    """The same few widths come again and again."""
    return Layout(np.array(beams, np.int64), device)


class BeamSearch:
    """One batch of searches, advanced a level at a time by `expand`."""

    def __init__(self, tree: Tree, widths: Sequence[int], restriction: Restriction | None = None) -> None:
        self._tree = tree
        self._restriction = restriction
        limit_R = np.asarray(widths, np.int64)
        if restriction is not None:
            limit_R = np.minimum(limit_R, restriction.wanted_R)
        beams_R = [np.ones_like(limit_R), *(np.minimum(limit_R, edges) for edges in tree.edges)]
        self.layouts = [_layout(tuple(beams.tolist()), tree.device) for beams in beams_R]
        """Level l expands the beams of layout l into those of layout l + 1."""

    def run(self, logp_RC: Tensor, decode: Callable[[int, Beams], Tensor]) -> list[Ranked]:
        """Search all levels.

        logp_RC: log-probability of every code of level 0 after each row's prompt, float32.
        decode(level, beams): append the last code of `beams`; the log-probabilities [B, C] of codes of `level`.
        """
        beams = self.expand(0, self.roots(), logp_RC)
        for level in range(1, self._tree.depth):
            if self.layouts[level].beams == 0:
                break
            beams = self.expand(level, beams, decode(level, beams))
        return self.answer(beams)

    def roots(self) -> Beams:
        """One beam a row, at the root."""
        rows, device = self.layouts[0].rows, self._tree.device
        zero = torch.zeros(rows, dtype=torch.int32, device=device)
        return Beams(torch.zeros(rows, device=device), zero, zero, zero)

    def expand(self, level: int, beams: Beams, logp_BC: Tensor) -> Beams:
        """The best living children of `beams`, given the log-probability of every code of `level`, float32, <= 0."""
        now, then = self.layouts[level], self.layouts[level + 1]
        low_B, high_B = self._tree.children[level].index_select(0, beams.node_B).unbind(1)
        count_B = (high_B - low_B) * (beams.cost_B != DEAD)
        low_X, count_X = now.spread(torch.stack([low_B, count_B], 1), 0).unbind(1)
        length = self._equalise(level, count_X.view(now.rows, -1))
        shift_X = low_X - (count_X.cumsum(0, dtype=torch.int32) - count_X)  # from a candidate's place to its edge
        cost_XC = now.spread(beams.cost_B[:, None] - logp_BC, DEAD)

        slot_T = torch.repeat_interleave(count_X, output_size=now.rows * length)
        edge_T = torch.arange(len(slot_T), dtype=torch.int32, device=slot_T.device)
        edge_T += shift_X.index_select(0, slot_T)
        code_T = self._tree.code[level].index_select(0, edge_T)
        cost_T = cost_XC.view(-1).index_select(0, slot_T * cost_XC.shape[1] + code_T)
        if self._restriction is not None:
            self._bury(level, cost_T, edge_T, beams, shift_X)

        best = sort_key(cost_T, edge_T).view(now.rows, length).topk(then.widest, largest=False)
        row_start = torch.arange(0, len(slot_T), length, device=slot_T.device)
        chosen_B = then.pack(best.indices + row_start[:, None])
        return Beams(
            cost_B=key_cost(then.pack(best.values)),
            node_B=edge_T.index_select(0, chosen_B),
            parent_B=now.beam_X.index_select(0, slot_T.index_select(0, chosen_B)),
            code_B=code_T.index_select(0, chosen_B),
        )

    def _bury(self, level: int, cost_T: Tensor, edge_T: Tensor, beams: Beams, shift_X: Tensor) -> None:
        """Give candidates with no wanted leaf below them the cost of the dead."""
        assert self._restriction is not None
        layout, edges = self.layouts[level], self._tree.edges[level]
        alive, dead = self._restriction.alive[level], self._restriction.dead[level]
        if alive is not None:
            entry_RT = edge_T.view(layout.rows, -1) + self._restriction.set_R[:, None] * edges
            cost_T.masked_fill_(~alive.index_select(0, entry_RT.view(-1)), DEAD)
        if dead is not None:
            nodes = len(self._tree.children[level])
            key_B = torch.where(beams.cost_B != DEAD, layout.row_B * nodes + beams.node_B, -1)
            key_B, beam_B = key_B.sort()
            found_D = torch.searchsorted(key_B, dead.key_D).clamp_(max=len(key_B) - 1)
            reached_D = key_B.index_select(0, found_D) == dead.key_D
            slot_D = layout.slot_B.index_select(0, beam_B.index_select(0, found_D))
            position_D = torch.where(reached_D, dead.edge_D - shift_X.index_select(0, slot_D), 0)
            cost_T.index_add_(0, position_D, torch.where(reached_D, DEAD, 0.0))

    def _equalise(self, level: int, count_RS: Tensor) -> int:
        """Give the last slot of every row as many dead candidates as make all rows equally long; that length."""
        total_R = count_RS.sum(1, dtype=torch.int32)
        if count_RS.is_cuda:  # a bound, because reading the sum would wait for the device
            most = min(self._tree.edges[level], self.layouts[level].widest * self._tree.index.fan_out[level])
        else:
            most = int(total_R.max())
        length = max(most, self.layouts[level + 1].widest)
        count_RS[:, -1] = length - total_R
        return length

    def answer(self, beams: Beams) -> list[Ranked]:
        """What each row found, given the beams of the last level."""
        leaf_B = beams.node_B.cpu().numpy().astype(np.int64)
        score_B = -beams.cost_B.cpu().numpy()
        end_R = np.cumsum(self.layouts[-1].beams_R)
        spans = [slice(*span) for span in pairwise((0, *end_R.tolist()))]
        return [Ranked(leaf_B[span], score_B[span]) for span in spans]


def sort_key(cost_T: Tensor, edge_T: Tensor) -> Tensor:
    """Distinct int64 keys in the order of (cost, edge): the bits of a float that is not negative sort like it."""
    return cost_T.view(torch.int32).long().bitwise_left_shift_(32).add_(edge_T)


def key_cost(key_B: Tensor) -> Tensor:
    """The costs in keys of `sort_key`."""
    return (key_B >> 32).int().view(torch.float32)
