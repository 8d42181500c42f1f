"""The beams of a batch at one level, and where those of each row lie.

Shapes: R rows; B beams of all rows together, row after row; X slots, a row's being as many as the widest row has
beams, and one; K the widest row's beams.
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


class BeamLayout:
    """How many beams every row has at a level, and where they lie. Known before anything is computed.

    beams_R: beams of every row, on the host. end_R: where the beams of every row end, on the host.
    row_B, rank_B: the row of every beam and its place there, int64.
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


def layouts_of(limit_R: NDArray[np.int64], edges: Sequence[int], device: torch.device) -> list[BeamLayout]:
    """The layouts before the first level and after each, for rows that keep at most so many beams."""
    beams_R = [np.ones_like(limit_R), *(np.minimum(limit_R, most) for most in edges)]
    return [_layout(tuple(beams.tolist()), device) for beams in beams_R]


@lru_cache(maxsize=1024)
def _layout(beams: tuple[int, ...], device: torch.device) -> BeamLayout:
    """The same few widths come again and again."""
    return BeamLayout(np.array(beams, np.int64), device)
