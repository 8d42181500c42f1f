"""Adam: moments that can follow their gradient into another basis, and AdamW for weights that are not projected.

torch's Adam serves neither. Its moments have the shape of a parameter, while these belong to coordinates in a subspace
that is replaced every few hundred steps. And it steps a parameter as a whole, while this one can step some rows only,
and keeps the remainders of bfloat16 weights. Where both apply, a test holds that they agree.

Moments of a subspace may be compact: half of the first moment's bits, and of the second moment a row and a column.

R rows of the moments: the directions of a subspace, or whatever the first dimension is. N rows after a rotation; L
columns of compact moments.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from trainer.distributed.dtensor import local_rows, local_tensor
from trainer.distributed.group import SINGLE_PROCESS, ProcessGroup
from trainer.distributed.shard_range import ShardRange
from trainer.gems.numerics import add_exactly_, compute_dtype, exact_value, make_remainder
from trainer.gems.state import check_moments, restore_, restore_remainder_

__all__ = ["AdamSettings", "CompactMoments", "Moments", "PlainWeight"]


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
        self.second, self.weight_sum = _rotated_means(rotation_NR, self.second, self.weight_sum)

    def state_dict(self) -> dict[str, Any]:
        return {"first": self.first, "second": self.second, "weight_sum": self.weight_sum, "steps": self.steps}


class CompactMoments(StoredMoments):
    """Moments of a quarter of the size: the first in bfloat16, the second as the product of a row and a column.

    The second moment of direction i in column j is taken as row_i · column_j / mean, as in Adafactor (Shazeer, Stern
    2018), where rows and columns are the means of the squared gradients. They are float32, so that 0.999 of one differs
    from it.

    first: as in `Moments`, rounded to bfloat16 at every step.
    row_R1: for each direction the weighted mean, over columns and steps, of the squared gradients.
    column_1L: the same for each column, over directions and steps.
    mean: the same over everything, a scalar.
    weight_sum: as in `Moments`: how much each direction has seen. Columns have seen every step.
    steps: how many gradients there were.

    columns: those columns of the gradient that this rank has, of which others may have the rest.
    """

    def __init__(self, rank: int, columns: ShardRange, *, device: torch.device) -> None:
        self._columns = columns
        self.first = torch.zeros((rank, len(columns)), dtype=torch.bfloat16, device=device)
        self.row_R1 = torch.zeros((rank, 1), device=device)
        self.column_1L = torch.zeros((1, len(columns)), device=device)
        self.mean = torch.zeros((), device=device)
        self.weight_sum = torch.zeros((rank, 1), device=device)
        self.steps = 0

    def update(self, grad: Tensor, adam: AdamSettings) -> None:
        """Adds one gradient, of the moments' shape, to them. Overwrites `grad`."""
        beta1, beta2 = adam.betas
        self.steps += 1
        self.first.copy_(self.first.float().lerp_(grad, 1 - beta1))
        squared_RL = grad.square_()
        row_R1 = squared_RL.sum(1, keepdim=True)
        self._columns.all_reduce([row_R1])
        row_R1.div_(self._columns.size)
        share = (1 - beta2) / (1 - beta2**self.steps)
        self.weight_sum.mul_(beta2).add_(1 - beta2)
        self.row_R1.lerp_(row_R1, (1 - beta2) / self.weight_sum)
        self.column_1L.lerp_(squared_RL.mean(0, keepdim=True), share)
        self.mean.lerp_(row_R1.mean(), share)

    def direction(self, adam: AdamSettings) -> Tensor:
        """The bias-corrected first moment over the root of the second, as `Moments.direction`, in float32."""
        if self.steps == 0:
            return torch.zeros_like(self.first, dtype=torch.float32)
        correction = 1 - adam.betas[0] ** self.steps
        tiny = torch.finfo(torch.float32).tiny
        root_RL = self.row_R1.sqrt() * (self.column_1L / self.mean.clamp_min(tiny)).sqrt()
        return root_RL.add_(adam.eps).mul_(correction).reciprocal_().mul_(self.first)

    def rotate(self, rotation_NR: Tensor) -> None:
        """Takes the moments into another basis, as `Moments.rotate`. What the columns have seen stays as it is."""
        self.first = (rotation_NR @ self.first.float()).to(torch.bfloat16)
        self.row_R1, self.weight_sum = _rotated_means(rotation_NR, self.row_R1, self.weight_sum)

    def state_dict(self) -> dict[str, Any]:
        return {
            "first": self.first,
            "row": self.row_R1,
            "column": self.column_1L,
            "mean": self.mean,
            "weight_sum": self.weight_sum,
            "steps": self.steps,
        }


def _rotated_means(rotation_NR: Tensor, mean_R: Tensor, weight_sum_R1: Tensor) -> tuple[Tensor, Tensor]:
    """Means of squared gradients, a row for each direction, in another basis, and their weight sums [N, 1]; see
    `Moments.rotate`."""
    squared_NR = rotation_NR.square()
    weight_sum_N1 = squared_NR @ weight_sum_R1
    weighted = squared_NR @ (mean_R * weight_sum_R1)
    return weighted.div_(weight_sum_N1.clamp_min(torch.finfo(weight_sum_N1.dtype).tiny)), weight_sum_N1


class PlainWeight:
    """A weight that is not projected, with its moments: an embedding, a norm, a bias, or an untied head.

    name: the weight's name in the model, under which it is saved.
    weight: the parameter. If it is sharded, this rank updates the rows that it holds, and keeps moments of these. The
        trained rows of a bfloat16 weight have a remainder (numerics.py).
    rows: the trained rows; None for all of them. Frozen rows take no memory for gradients and moments, and are neither
        updated nor decayed. Tied embeddings and head are one weight, so a row is trained or frozen in both roles.
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
        self._rows = held.local_indices(rows)
        self.gradient: Tensor | None = None  # tokens · gradient, summed over micro-batches
        trained = self._trained_rows(local_tensor(weight))
        self._moments = Moments(trained.shape, dtype=compute_dtype(weight), device=weight.device)
        self._remainder = make_remainder(trained)

    def accumulate(self, *, tokens: int) -> None:
        """Adds the weight's `.grad` to the sum, and frees it.

        tokens: how many target tokens the gradient's loss is a mean over; the gradient is weighted by it.
        """
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
    ) -> None:
        """Makes one AdamW step on the accumulated gradient, and drops the gradient. Without one it does nothing.

        lr: the learning rate.
        adam: Adam's settings.
        weight_decay: the share of the weight, times the learning rate, that is taken away (decoupled decay).
        factor: what the accumulated gradient is multiplied by first.
        """
        if self.gradient is None:
            return
        self._moments.update(self.gradient.mul_(factor), adam)
        self.gradient = None
        change = self._moments.direction(adam).mul_(-lr)
        weight = local_tensor(self.weight)
        trained = self._trained_rows(weight)
        if weight_decay:
            change.add_(exact_value(trained, self._remainder), alpha=-lr * weight_decay)
        add_exactly_(trained, self._remainder, change)
        if isinstance(self._rows, Tensor):
            weight[self._rows] = trained

    def accumulators(self) -> list[Tensor | None]:
        """The accumulated gradient alone, None where none arrived: of the form that `ProjectedLayer` has."""
        return [self.gradient]

    def fill_missing(self, present: Sequence[bool]) -> None:
        """Fills in zeros for the accumulated gradient if this rank lacks it and another rank has it.

        present: one flag, whether any rank has it.
        """
        if present[0] and self.gradient is None:
            self.gradient = torch.zeros_like(self._moments.first)

    def discard(self) -> None:
        """Drops the accumulated gradient."""
        self.gradient = None

    def held(self) -> Iterator[tuple[str, Tensor]]:
        """Every tensor beside the weight, each with the name of the part of memory it belongs to."""
        held = [*self._moments.tensors(), self._remainder, self.gradient]
        yield from (("other weights", tensor) for tensor in held if tensor is not None)

    def state_dict(self) -> dict[str, Any]:
        return self._moments.state_dict() | {"remainder": self._remainder}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._moments.load_state_dict(state, self.name)
        restore_remainder_(self._remainder, state["remainder"], self.name)

    def _trained_rows(self, tensor: Tensor) -> Tensor:
        """The trained rows of a tensor: a view where they are a slice, a copy where they are listed."""
        return tensor if self._rows is None else tensor[self._rows]
