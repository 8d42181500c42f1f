"""Adam's moments, which can follow their matrix into another basis.

R rows (directions of a subspace, or whatever the first dimension is), N new rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from trainer.gems.state import restore_

__all__ = ["Adam", "Moments"]


@dataclass(frozen=True, slots=True)
class Adam:
    """How the moments fade and what keeps their quotient finite."""

    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8


class Moments:
    """First and second moment of a stream of gradients of one shape.

    `second` is kept bias-corrected: the mean of the squared gradients so far, under weights that fade by beta2. `mass`
    is the sum of those weights, one for each row. With equal rows this is Adam to the letter, and mass = 1 - beta2^t.
    """

    def __init__(self, shape: torch.Size | tuple[int, ...], *, dtype: torch.dtype, device: torch.device) -> None:
        self.first = torch.zeros(shape, dtype=dtype, device=device)
        self.second = torch.zeros(shape, dtype=dtype, device=device)
        self.mass = torch.zeros((*shape[:1], *(1 for _ in shape[1:])), dtype=dtype, device=device)
        self.steps = 0

    def update(self, grad: Tensor, adam: Adam) -> None:
        """Takes in one gradient. Overwrites `grad`, which is not needed any more."""
        beta1, beta2 = adam.betas
        self.steps += 1
        self.first.lerp_(grad, 1 - beta1)
        self.mass.mul_(beta2).add_(1 - beta2)
        self.second.lerp_(grad.square_(), (1 - beta2) / self.mass)

    def direction(self, adam: Adam) -> Tensor:
        """Bias-corrected first moment over the root of the second: Adam's step for a learning rate of 1."""
        if self.steps == 0:
            return torch.zeros_like(self.first)
        correction = 1 - adam.betas[0] ** self.steps
        return self.second.sqrt().add_(adam.eps).mul_(correction).reciprocal_().mul_(self.first)

    def rotate(self, turn_NR: Tensor) -> None:
        """Follows the gradient into new rows, where new gradient = turn · old gradient (turn = new basisᵀ · old basis).

        The first moment is linear in the gradient, so it turns with it. A new row's second moment is the mean of the
        old rows' ones, weighted by turn² (exact for uncorrelated old rows, and where rows are only permuted). What of
        a new row lies outside the old basis has never been seen: its mass is that much smaller, so that the next
        gradients fill it in, rather than being divided by a second moment near zero.
        """
        share_NR = turn_NR.square()
        mass_N1 = share_NR @ self.mass
        weighted = share_NR @ (self.second * self.mass)
        self.first = turn_NR @ self.first
        self.second = weighted.div_(mass_N1.clamp_min(torch.finfo(mass_N1.dtype).tiny))
        self.mass = mass_N1

    def reset(self) -> None:
        """Forgets everything."""
        for tensor in (self.first, self.second, self.mass):
            tensor.zero_()
        self.steps = 0

    def state_dict(self) -> dict[str, Any]:
        return {"first": self.first, "second": self.second, "mass": self.mass, "steps": self.steps}

    def load_state_dict(self, state: dict[str, Any], where: str) -> None:
        restore_(self.first, state["first"], where)
        restore_(self.second, state["second"], where)
        restore_(self.mass, state["mass"], where)
        self.steps = int(state["steps"])
