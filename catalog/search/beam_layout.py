"""The beams of a batch at one level, and their layout: which of them belong to which row.

Shapes: R rows; B beams of all rows together, row after row; K beams of the row with the most; X = R · (K + 1) slots.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

__all__ = ["DEAD", "BeamLayout", "Beams", "layouts_of"]

DEAD = float("inf")
"""The cost of a dead beam, which has no live children."""


@dataclass(frozen=True, slots=True)
class Beams:
    """The beams that are kept after a level, best first within a row.

    priority_B: what they are ordered by, the smallest first, float32, never below zero, and infinite for dead beams.
        Where nothing guides the search it is the cost.
    cost_B: negative log-probability so far, float32, never below zero, and infinite for dead beams.
    node_B: the beam's node, int32.
    parent_B: the number of the beam of the level before that it continues, int32.
    code_B: its last code, int32.
    """

    priority_B: Tensor
    cost_B: Tensor
    node_B: Tensor
    parent_B: Tensor
    code_B: Tensor


class BeamLayout:
    """The number of every row's beams at a level, which is known before the search, and their positions.

    beams_R: number of beams of every row, on the host.
    end_R: the end of every row's beams among all, on the host.
    row_B, rank_B: the row of every beam and its position there, int64.
    slot_B: the slot of every beam, where each row has K + 1 slots.
    beam_X: the beam of every slot; 0 for a slot without one.
    """

    def __init__(self, beams_R: NDArray[np.int64], device: torch.device) -> None:
        self.beams_R = beams_R
        self.end_R = np.cumsum(beams_R)
        self.rows = len(beams_R)
        self.beams = int(beams_R.sum())
        self.widest = int(beams_R.max())
        self._even = self.beams == self.rows * self.widest
        row_B = np.repeat(np.arange(self.rows), beams_R)
        rank_B = np.arange(self.beams) - (self.end_R - beams_R)[row_B]
        slot_B = row_B * (self.widest + 1) + rank_B
        beam_X = np.zeros(self.rows * (self.widest + 1), np.int32)
        beam_X[slot_B] = np.arange(self.beams)
        self.row_B, self.rank_B, self.slot_B, self.beam_X, self._place_B = (
            torch.from_numpy(array).to(device)
            for array in (row_B, rank_B, slot_B, beam_X, row_B * self.widest + rank_B)
        )

    def spread(self, value_B: Tensor, fill: float) -> Tensor:
        """From beams [B, …] to slots [X, …]. A row's last slot, and any other without a beam, hold `fill`."""
        shape = value_B.shape[1:]
        if self._even:
            edge = (0, 0) * len(shape) + (0, 1)
            return pad(value_B.view(self.rows, self.widest, *shape), edge, value=fill).view(-1, *shape)
        return value_B.new_full((len(self.beam_X), *shape), fill).index_copy_(0, self.slot_B, value_B)

    def unpack(self, value_B: Tensor) -> Tensor:
        """From beams [B, …] to [R, K, …]; positions without a beam hold zero."""
        shape = (self.rows, self.widest, *value_B.shape[1:])
        if self._even:
            return value_B.view(shape)
        value = value_B.new_zeros((self.rows * self.widest, *value_B.shape[1:]))
        return value.index_copy_(0, self._place_B, value_B).view(shape)

    def pack(self, value_RK: Tensor) -> Tensor:
        """From [R, K, …] to beams [B, …]."""
        value = value_RK.flatten(0, 1)
        return value if self._even else value.index_select(0, self._place_B)


def layouts_of(limit_R: NDArray[np.int64], edges: Sequence[int], device: torch.device) -> list[BeamLayout]:
    """The layouts before the first level and after each.

    limit_R: the greatest number of beams of every row.
    edges: number of edges of every level.
    """
    beams_R = [np.ones_like(limit_R), *(np.minimum(limit_R, most) for most in edges)]
    return [_layout(tuple(beams.tolist()), device) for beams in beams_R]


@lru_cache(maxsize=1024)
def _layout(beams: tuple[int, ...], device: torch.device) -> BeamLayout:
    """Cached, because most batches have one of a few combinations of widths."""
    return BeamLayout(np.array(beams, np.int64), device)
