"""AdamW for the weights that are not projected: embeddings, norms, biases, a head of its own.

Of a weight whose rows processes hold between them each moves, and keeps moments of, the rows that are here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from trainer.distributed.dtensor import local, rows_here
from trainer.distributed.group import ALONE, ProcessGroup
from trainer.gems.adam import Adam, Moments
from trainer.gems.precision import add_rounded_, compute_dtype

__all__ = ["PlainWeight"]


class PlainWeight:
    """One weight and its moments. `rows` are those that move, None for all of them.

    Frozen rows get no gradient memory, no moments, no update and no decay. Where embeddings and head are tied, they are
    one weight and a row moves, or not, in both roles.
    """

    def __init__(
        self, name: str, weight: nn.Parameter, rows: slice | Tensor | None = None, shards: ProcessGroup = ALONE
    ) -> None:
        self.name, self.weight = name, weight
        here = rows_here(weight, shards)
        self._first_row, self._rows = here.start, here.within(rows)
        self.gradient: Tensor | None = None  # tokens · gradient, summed over micro-batches
        moving = self._moving(local(weight))
        self._moments = Moments(moving.shape, dtype=compute_dtype(weight), device=weight.device)

    def observe(self, *, tokens: int) -> None:
        """Moves the weight's `.grad`, of a mean over `tokens`, into the sum, and frees it."""
        grad, self.weight.grad = self.weight.grad, None
        if grad is None or self._moments.first.numel() == 0:
            return
        part = self._moving(local(grad))
        if self.gradient is None:
            self.gradient = part.to(self._moments.first.dtype) * tokens
        else:
            self.gradient.add_(part, alpha=tokens)

    @torch.no_grad()
    def update(
        self,
        *,
        lr: float,
        adam: Adam,
        weight_decay: float,
        factor: float,
        seed: int = 0,
        step: int = 0,
    ) -> None:
        """One AdamW step on `factor` times the sum, which is then dropped; no gradient means no step.

        `seed` and `step` decide how a bfloat16 weight is rounded.
        """
        if self.gradient is None:
            return
        self._moments.update(self.gradient.mul_(factor), adam)
        self.gradient = None
        change = self._moments.direction(adam).mul_(-lr)
        weight = local(self.weight)
        moving = self._moving(weight)
        if weight_decay:
            change.add_(moving, alpha=-lr * weight_decay)
        add_rounded_(moving, change, seed=seed, name=self.name, step=step, first_row=self._first_row)
        if isinstance(self._rows, Tensor):
            weight[self._rows] = moving

    def accumulators(self) -> list[Tensor | None]:
        """The sum of the gradients; None where none arrived."""
        return [self.gradient]

    def complete(self, present: Sequence[bool]) -> None:
        """Puts zeros in place of no gradient where `present` says that another process has one."""
        if present[0] and self.gradient is None:
            self.gradient = torch.zeros_like(self._moments.first)

    def discard(self) -> None:
        """Drops what the current batch has left so far."""
        self.gradient = None

    def state_dict(self) -> dict[str, Any]:
        return self._moments.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._moments.load_state_dict(state, self.name)

    def _moving(self, tensor: Tensor) -> Tensor:
        """The rows that move: a view for a slice, a copy for chosen rows."""
        return tensor if self._rows is None else tensor[self._rows]
