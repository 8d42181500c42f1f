"""Adam's moments of a sequence of gradients, which can follow their gradient into another basis.

R rows of the moments: the directions of a subspace, or whatever the first dimension is. N rows after a rotation.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from trainer.gems.state import check_moments, restore_

__all__ = ["AdamSettings", "Moments", "StoredMoments", "rotated_means"]


@dataclass(frozen=True, slots=True)
class AdamSettings:
    """The settings of Adam.

    betas: what the first and the second moment are multiplied by at every step.
    eps: what is added to the root of the second moment.
    """

    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8


class StoredMoments(ABC):
    """What both kinds of moments do with their tensors. steps: how many gradients there were."""

    steps: int

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Every tensor of the moments by name, and the steps."""

    def tensors(self) -> list[Tensor]:
        """All tensors of the moments."""
        return [value for value in self.state_dict().values() if isinstance(value, Tensor)]

    def reset(self) -> None:
        """Sets everything to zero, as before the first gradient."""
        for tensor in self.tensors():
            tensor.zero_()
        self.steps = 0

    def load_state_dict(self, state: dict[str, Any], name: str) -> None:
        """Raises CheckpointError, too, for the state of the other kind."""
        own = self.state_dict()
        check_moments(state, own, name)
        for key, tensor in own.items():
            if isinstance(tensor, Tensor):
                restore_(tensor, state[key], name)
        self.steps = int(state["steps"])


class Moments(StoredMoments):
    """The first and second moment of a sequence of gradients of one shape.

    first: the exponentially weighted sum of the gradients, as Adam keeps it.
    second: the weighted mean of the squared gradients, with weights that decay by beta2. It needs no bias correction.
    weight_sum: the sum of those weights for each row, [R, 1, …]. Until a rotation it is 1 - beta2^steps in every row,
        and the moments are exactly Adam's.
    steps: how many gradients there were.
    """

    def __init__(self, shape: torch.Size | tuple[int, ...], *, dtype: torch.dtype, device: torch.device) -> None:
        self.first = torch.zeros(shape, dtype=dtype, device=device)
        self.second = torch.zeros(shape, dtype=dtype, device=device)
        self.weight_sum = torch.zeros((*shape[:1], *(1 for _ in shape[1:])), dtype=dtype, device=device)
        self.steps = 0

    def update(self, grad: Tensor, adam: AdamSettings) -> None:
        """Adds one gradient, of the moments' shape, to them. Overwrites `grad`."""
        beta1, beta2 = adam.betas
        self.steps += 1
        self.first.lerp_(grad, 1 - beta1)
        self.weight_sum.mul_(beta2).add_(1 - beta2)
        self.second.lerp_(grad.square_(), (1 - beta2) / self.weight_sum)

    def direction(self, adam: AdamSettings) -> Tensor:
        """The bias-corrected first moment over the root of the second, of the moments' shape.

        Adam's step is this times the negative learning rate. Before the first gradient it is zero.
        """
        if self.steps == 0:
            return torch.zeros_like(self.first)
        correction = 1 - adam.betas[0] ** self.steps
        return self.second.sqrt().add_(adam.eps).mul_(correction).reciprocal_().mul_(self.first)

    def rotate(self, rotation_NR: Tensor) -> None:
        """Takes the moments into another basis, in which a gradient is rotation · (the gradient in the old basis).

        rotation_NR: the new basis transposed, times the old basis.

        The first moment is linear in the gradient, so it is rotated. The second moment of a new row is the mean of the
        old rows' second moments, weighted by rotation². This is exact where the old rows are uncorrelated, or only
        permuted. A new row may lie partly outside of the old basis, where no gradient has been seen. Its weight sum is
        smaller by that part, so that the next gradients count for more, and are not divided by a second moment near 0.
        """
        self.first = rotation_NR @ self.first
        self.second, self.weight_sum = rotated_means(rotation_NR, self.second, self.weight_sum)

    def state_dict(self) -> dict[str, Any]:
        return {"first": self.first, "second": self.second, "weight_sum": self.weight_sum, "steps": self.steps}


def rotated_means(rotation_NR: Tensor, mean_R: Tensor, weight_sum_R1: Tensor) -> tuple[Tensor, Tensor]:
    """Means of squared gradients, a row for each direction, in another basis, and their weight sums [N, 1]; see
    `Moments.rotate`."""
    squared_NR = rotation_NR.square()
    weight_sum_N1 = squared_NR @ weight_sum_R1
    weighted = squared_NR @ (mean_R * weight_sum_R1)
    return weighted.div_(weight_sum_N1.clamp_min(torch.finfo(weight_sum_N1.dtype).tiny)), weight_sum_N1
