"""AdamW for a weight that is not projected."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from trainer.distributed.dtensor import local_rows, local_tensor
from trainer.distributed.group import SINGLE_PROCESS, ProcessGroup
from trainer.gems.adam.moments import AdamSettings, Moments
from trainer.gems.numerics import add_exactly_, compute_dtype, exact_value, make_remainder
from trainer.gems.state import restore_remainder_

__all__ = ["PlainWeight"]


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
