"""Moments of an eighth of the size: the first in eight bits, the second as the product of a row and a column.

The second moment of direction i in column j is taken as row_i · column_j / mean, as in Adafactor (Shazeer, Stern 2018),
where rows and columns are the means of the squared gradients. They are float32, so that 0.999 of one differs from it.

The first moment is kept as its ratio to the root of the second, which is about as large everywhere, so that its codes
need no scale of their own and do not depend on which columns a rank holds. Codes are as far apart as the ratio is large
(the μ-law of telephony): neighbours differ by a 22nd, and near zero by 0.0013. Were they further apart than a step's
decay of a tenth, a moment whose gradients have ended would stay where it is.

R rows of the moments: the directions of a subspace. N rows after a rotation. L columns.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from trainer.distributed.shard_range import ShardRange
from trainer.gems.adam.moments import AdamSettings, StoredMoments, rotated_means

__all__ = ["CompactMoments"]

LARGEST = 8.0
"""The largest ratio that has a code. Adam's own ratio, by an exact second moment, is at most 3.2 at its usual betas."""
BEND = 0.03
"""The ratio below which codes come to be evenly spaced."""
STEP = math.log1p(LARGEST / BEND) / 127  # between neighbouring codes, on the scale of the logarithm


class CompactMoments(StoredMoments):
    """Compact moments of the gradients of one subspace.

    code_RL: the first moment of `Moments` as its ratio to the root of the second, in codes of eight bits.
    row_R1: for each direction the weighted mean, over columns and steps, of the squared gradients.
    column_1L: the same for each column, over directions and steps.
    mean: the same over everything, a scalar.
    weight_sum: as in `Moments`: how much each direction has seen. Columns have seen every step.
    steps: how many gradients there were.

    columns: those columns of the gradient that this rank has, of which others may have the rest.
    """

    def __init__(self, rank: int, columns: ShardRange, *, device: torch.device) -> None:
        self._columns = columns
        self.code_RL = torch.zeros((rank, len(columns)), dtype=torch.int8, device=device)
        self.row_R1 = torch.zeros((rank, 1), device=device)
        self.column_1L = torch.zeros((1, len(columns)), device=device)
        self.mean = torch.zeros((), device=device)
        self.weight_sum = torch.zeros((rank, 1), device=device)
        self.steps = 0

    def update(self, grad: Tensor, adam: AdamSettings) -> None:
        """Adds one gradient, of the moments' shape, to them. Overwrites `grad`."""
        beta1, beta2 = adam.betas
        self.steps += 1
        first_RL = _ratio(self.code_RL).mul_(self._root()).lerp_(grad, 1 - beta1)
        squared_RL = grad.square_()
        row_R1 = squared_RL.sum(1, keepdim=True)
        self._columns.all_reduce([row_R1])
        row_R1.div_(self._columns.size)
        share = (1 - beta2) / (1 - beta2**self.steps)
        self.weight_sum.mul_(beta2).add_(1 - beta2)
        self.row_R1.lerp_(row_R1, (1 - beta2) / self.weight_sum)
        self.column_1L.lerp_(squared_RL.mean(0, keepdim=True), share)
        self.mean.lerp_(row_R1.mean(), share)
        self.code_RL = _code(first_RL.div_(self._root()))

    def direction(self, adam: AdamSettings) -> Tensor:
        """The bias-corrected first moment over the root of the second, as `Moments.direction`, in float32."""
        if self.steps == 0:
            return torch.zeros_like(self.code_RL, dtype=torch.float32)
        correction = 1 - adam.betas[0] ** self.steps
        root_RL = self._root()
        first_RL = _ratio(self.code_RL).mul_(root_RL)
        return first_RL.div_(root_RL.add_(adam.eps).mul_(correction))

    def rotate(self, rotation_NR: Tensor) -> None:
        """Takes the moments into another basis, as `Moments.rotate`. What the columns have seen stays as it is."""
        first_NL = rotation_NR @ _ratio(self.code_RL).mul_(self._root())
        self.row_R1, self.weight_sum = rotated_means(rotation_NR, self.row_R1, self.weight_sum)
        self.code_RL = _code(first_NL.div_(self._root()))

    def state_dict(self) -> dict[str, Any]:
        return {
            "code": self.code_RL,
            "row": self.row_R1,
            "column": self.column_1L,
            "mean": self.mean,
            "weight_sum": self.weight_sum,
            "steps": self.steps,
        }

    def _root(self) -> Tensor:
        """The root of the second moment [R, L], nowhere zero."""
        tiny = torch.finfo(torch.float32).tiny
        shares_1L = (self.column_1L / self.mean.clamp_min(tiny)).sqrt_()
        return (self.row_R1.sqrt() * shares_1L).clamp_min_(tiny)


def _code(ratio: Tensor) -> Tensor:
    """The nearest codes of ratios, int8. Overwrites `ratio`."""
    sign = ratio.sign()
    return ratio.abs_().div_(BEND).log1p_().div_(STEP).clamp_max_(127).round_().mul_(sign).to(torch.int8)


def _ratio(code: Tensor) -> Tensor:
    """The ratios that codes stand for, float32."""
    value = code.float()
    return value.abs().mul_(STEP).expm1_().mul_(BEND).copysign_(value)
