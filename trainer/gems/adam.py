"""Adam: moments that can follow their gradient into another basis, and AdamW for weights that are not projected.

torch's Adam serves neither. Its moments are tied to a parameter of their own shape, while ours belong to coordinates in
a subspace that is replaced every few hundred steps; and it steps a parameter as a whole, while ours may step some rows
only, and rounds bfloat16 weights stochastically. A test holds it to torch's where both apply.

R rows (directions of a subspace, or whatever the first dimension is), N rows after a rotation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from trainer.distributed.dtensor import local_rows, local_tensor
from trainer.distributed.group import SINGLE_PROCESS, ProcessGroup
from trainer.gems.numerics import add_rounded_, compute_dtype
from trainer.gems.state import restore_

__all__ = ["AdamSettings", "Moments", "PlainWeight"]


@dataclass(frozen=True, slots=True)
class AdamSettings:
    """betas: how slowly the two moments decay. eps: added to the root of the second moment, as in Adam's paper."""

    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8


class Moments:
    """The first and second moment of a sequence of gradients of one shape.

    first: the exponentially weighted sum of the gradients, as Adam keeps it.
    second: the weighted mean of the squared gradients, with weights that decay by beta2; it is bias-corrected already.
    weight_sum: the sum of those weights, one for each row. With equal rows it is 1 - beta2^t, and this is Adam exactly.
    """

    def __init__(self, shape: torch.Size | tuple[int, ...], *, dtype: torch.dtype, device: torch.device) -> None:
        self.first = torch.zeros(shape, dtype=dtype, device=device)
        self.second = torch.zeros(shape, dtype=dtype, device=device)
        self.weight_sum = torch.zeros((*shape[:1], *(1 for _ in shape[1:])), dtype=dtype, device=device)
        self.steps = 0

    def update(self, grad: Tensor, adam: AdamSettings) -> None:
        """Adds one gradient to the moments. Overwrites `grad`."""
        beta1, beta2 = adam.betas
        self.steps += 1
        self.first.lerp_(grad, 1 - beta1)
        self.weight_sum.mul_(beta2).add_(1 - beta2)
        self.second.lerp_(grad.square_(), (1 - beta2) / self.weight_sum)

    def direction(self, adam: AdamSettings) -> Tensor:
        """Adam's step for a learning rate of 1: the bias-corrected first moment over the root of the second."""
        if self.steps == 0:
            return torch.zeros_like(self.first)
        correction = 1 - adam.betas[0] ** self.steps
        return self.second.sqrt().add_(adam.eps).mul_(correction).reciprocal_().mul_(self.first)

    def rotate(self, rotation_NR: Tensor) -> None:
        """Follows the gradient into new rows, where new gradient = rotation · old gradient.

        rotation_NR: the new basis transposed, times the old basis.

        The first moment is linear in the gradient, so it rotates with it. A new row's second moment is the mean of the
        old rows' second moments, weighted by rotation² (exact for uncorrelated old rows, and where rows are only
        permuted). What part of a new row lies outside the old basis has never been seen: its weight sum is that much
        smaller, so that the next gradients fill it in, rather than being divided by a second moment near zero.
        """
        squared_NR = rotation_NR.square()
        weight_sum_N1 = squared_NR @ self.weight_sum
        weighted = squared_NR @ (self.second * self.weight_sum)
        self.first = rotation_NR @ self.first
        self.second = weighted.div_(weight_sum_N1.clamp_min(torch.finfo(weight_sum_N1.dtype).tiny))
        self.weight_sum = weight_sum_N1

    def reset(self) -> None:
        """Sets everything to zero, as before the first gradient."""
        for tensor in (self.first, self.second, self.weight_sum):
            tensor.zero_()
        self.steps = 0

    def state_dict(self) -> dict[str, Any]:
        return {"first": self.first, "second": self.second, "weight_sum": self.weight_sum, "steps": self.steps}

    def load_state_dict(self, state: dict[str, Any], name: str) -> None:
        restore_(self.first, state["first"], name)
        restore_(self.second, state["second"], name)
        restore_(self.weight_sum, state["weight_sum"], name)
        self.steps = int(state["steps"])


class PlainWeight:
    """A weight that is not projected and its moments: an embedding, a norm, a bias, or a head of its own.

    name: the weight's, by which it is saved and rounded.
    weight: the parameter; of a sharded one this rank updates, and keeps moments of, the rows that it holds.
    rows: those that are trained, None for all of them. Frozen rows get no gradient memory, no moments, no update and no
        decay. Where embeddings and head are tied they are one weight, and a row is trained or frozen in both roles.
    shard_group: the ranks among which a sharded weight is split.
    """

    def __init__(
        self,
        name: str,
        weight: nn.Parameter,
        rows: slice | Tensor | None = None,
        shard_group: ProcessGroup = SINGLE_PROCESS,
    ) -> None:
        self.name, self.weight = name, weight
        held = local_rows(weight, shard_group)
        self._first_row, self._rows = held.start, held.local_indices(rows)
        self.gradient: Tensor | None = None  # tokens · gradient, summed over micro-batches
        trained = self._trained_rows(local_tensor(weight))
        self._moments = Moments(trained.shape, dtype=compute_dtype(weight), device=weight.device)

    def accumulate(self, *, tokens: int) -> None:
        """Adds the weight's `.grad`, the gradient of a mean over `tokens`, to the sum, and frees it."""
        grad, self.weight.grad = self.weight.grad, None
        if grad is None or self._moments.first.numel() == 0:
            return
        part = self._trained_rows(local_tensor(grad))
        if self.gradient is None:
            self.gradient = part.to(self._moments.first.dtype) * tokens
        else:
            self.gradient.add_(part, alpha=tokens)

    @torch.no_grad()
    def update(
        self,
        *,
        lr: float,
        adam: AdamSettings,
        weight_decay: float,
        factor: float,
        seed: int = 0,
        step: int = 0,
    ) -> None:
        """Makes one AdamW step on the accumulated gradient times `factor`, and drops it; without one does nothing.

        seed, step: how a bfloat16 weight is rounded depends on them.
        """
        if self.gradient is None:
            return
        self._moments.update(self.gradient.mul_(factor), adam)
        self.gradient = None
        change = self._moments.direction(adam).mul_(-lr)
        weight = local_tensor(self.weight)
        trained = self._trained_rows(weight)
        if weight_decay:
            change.add_(trained, alpha=-lr * weight_decay)
        add_rounded_(trained, change, seed=seed, name=self.name, step=step, first_row=self._first_row)
        if isinstance(self._rows, Tensor):
            weight[self._rows] = trained

    def accumulators(self) -> list[Tensor | None]:
        """The accumulated gradient; None where none arrived."""
        return [self.gradient]

    def fill_missing(self, present: Sequence[bool]) -> None:
        """Sets the accumulated gradient to zeros where it is missing and `present` says that another rank has one."""
        if present[0] and self.gradient is None:
            self.gradient = torch.zeros_like(self._moments.first)

    def discard(self) -> None:
        """Drops the accumulated gradient."""
        self.gradient = None

    def state_dict(self) -> dict[str, Any]:
        return self._moments.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._moments.load_state_dict(state, self.name)

    def _trained_rows(self, tensor: Tensor) -> Tensor:
        """A view for a slice of rows, a copy for chosen rows."""
        return tensor if self._rows is None else tensor[self._rows]
