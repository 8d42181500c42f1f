"""What is known of a batch: the sums that its backward passes make, and its figures when they are complete."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.utils import get_total_norm

from catalog.text.prompts import TASKS, Task
from trainer.distributed.group import ProcessGroup
from trainer.gems.adam import PlainWeight
from trainer.gems.layer import ProjectedLayer
from trainer.gems.stats import SUBSPACES, PerTask

__all__ = ["BatchMetrics", "BatchTotals", "measure_batch", "total_norms"]


@dataclass(slots=True)
class BatchTotals:
    """Sums over the micro-batches of a batch, in which each micro-batch is weighted by its tokens.

    tokens: how many target tokens each task has.
    gradients: how many gradients were taken.
    derivatives: the sum of tokens · ⟨gradient, the task's last direction⟩, a scalar, for each task whose subspace the
        last step updated.
    """

    tokens: dict[Task, int] = field(default_factory=lambda: dict.fromkeys(TASKS, 0))
    gradients: int = 0
    derivatives: dict[Task, Tensor] = field(default_factory=dict)
    _losses: dict[Task, Tensor] = field(default_factory=dict)
    _all_losses_given: bool = True

    @property
    def tokens_per_task(self) -> PerTask:
        return PerTask(self.tokens["search"], self.tokens["recommendation"])

    @property
    def total_tokens(self) -> int:
        return sum(self.tokens.values())

    def add(self, task: Task, tokens: int, loss: Tensor | float | None) -> None:
        """Adds one micro-batch and its mean loss. After one without a loss, `losses` returns None."""
        self.tokens[task] += tokens
        if loss is None:
            self._all_losses_given = False
        else:
            _add(self._losses, task, torch.as_tensor(loss).detach().double() * tokens)

    def add_derivative(self, task: Task, derivative: Tensor) -> None:
        """Adds a directional derivative that has been multiplied by its micro-batch's tokens."""
        _add(self.derivatives, task, derivative)

    def losses(self) -> PerTask | None:
        """Each task's mean loss, 0 for an absent task; None unless every micro-batch came with its loss."""
        if not self._all_losses_given:
            return None
        means = {task: float(self._losses[task]) / self.tokens[task] for task in self._losses}
        return PerTask(means.get("search", 0.0), means.get("recommendation", 0.0))

    def hypergradient(self, step_size: float) -> PerTask | None:
        """The derivative of this batch's mean loss by each gate of the last step; None where it is not known.

        step_size: that of the last step, which moved the weights by -step_size · gate · direction.
        """
        if not self.derivatives:
            return None
        means = {task: -step_size * float(total) / self.total_tokens for task, total in self.derivatives.items()}
        return PerTask(means.get("search", 0.0), means.get("recommendation", 0.0))

    def all_reduce(self, replica_group: ProcessGroup) -> None:
        """Replaces all totals by their sums over the ranks, each of which had a part of the batch or none of it."""
        if replica_group.world_size == 1:
            return
        sums = (self._losses, self.derivatives)
        numbers = [float(self.tokens[task]) for task in TASKS]
        numbers += [float(values.get(task, 0.0)) for values in sums for task in TASKS]
        known = replica_group.all_reduce_any(
            [not self._all_losses_given, *(task in values for values in sums for task in TASKS)]
        )
        totals, flags = iter(replica_group.all_reduce_numbers(numbers)), iter(known)
        self._all_losses_given = not next(flags)
        self.tokens = {task: round(next(totals)) for task in TASKS}
        for values in sums:
            reduced = {task: torch.tensor(next(totals), dtype=torch.float64) for task in TASKS}
            values.clear()
            values.update({task: total for task, total in reduced.items() if next(flags)})

    def all_reduce_derivatives(self, shard_group: ProcessGroup) -> None:
        """Sums the directional derivatives over ranks that each hold some rows of every weight.

        All other totals are the same on these ranks already.
        """
        if shard_group.world_size == 1:
            return
        tasks = sorted(self.derivatives)
        totals = shard_group.all_reduce_numbers([float(self.derivatives[task]) for task in tasks])
        self.derivatives = {
            task: torch.tensor(total, dtype=torch.float64) for task, total in zip(tasks, totals, strict=True)
        }


@dataclass(frozen=True, slots=True)
class BatchMetrics:
    """The figures of one batch, as numbers on the host.

    losses: each task's mean loss; None where it is not known.
    grad_norms: the Frobenius norm, over all layers, of each task's gradient projected on the task's own subspaces.
    grad_norm: the norm of the batch's gradient: projected on the shared subspaces, and complete for plain weights.
    hypergradient: the derivative of the loss by each gate of the last step; None where it is not known.
    """

    losses: PerTask | None
    grad_norms: PerTask
    grad_norm: float
    hypergradient: PerTask | None

    def finite(self) -> bool:
        pairs = [pair for pair in (self.losses, self.grad_norms, self.hypergradient) if pair is not None]
        numbers = [number for pair in pairs for number in (pair.search, pair.recommendation)]
        return all(map(math.isfinite, [self.grad_norm, *numbers]))


def measure_batch(
    batch: BatchTotals,
    layers: Sequence[ProjectedLayer],
    plain: Sequence[PlainWeight],
    last_step_size: float,
    shard_group: ProcessGroup,
) -> BatchMetrics:
    """The figures of a batch.

    layers: the projected weights, after `average_projected`.
    plain: the plain weights, whose gradients are still sums weighted by tokens.
    last_step_size: what the last step's directions were multiplied by.
    shard_group: the ranks that each hold some rows of every weight.
    """
    projected = [
        [layer.subspaces[name].projected_grad_RL for layer in layers if name in layer.subspaces] for name in SUBSPACES
    ]
    gradients = [weight.gradient for weight in plain]
    shared, search, recommendation, others = total_norms([*projected, gradients], shard_group)
    return BatchMetrics(
        losses=batch.losses(),
        grad_norms=PerTask(search, recommendation),
        grad_norm=math.hypot(shared, others / batch.total_tokens),
        hypergradient=batch.hypergradient(last_step_size),
    )


def total_norms(groups: Sequence[Sequence[Tensor | None]], shard_group: ProcessGroup) -> list[float]:
    """For each group of tensors, the Frobenius norm over all of them, of which every rank holds a part."""
    norms = [float(get_total_norm([tensor for tensor in group if tensor is not None])) for group in groups]
    return [math.sqrt(square) for square in shard_group.all_reduce_numbers([norm * norm for norm in norms])]


def _add(sums: dict[Task, Tensor], task: Task, value: Tensor) -> None:
    sums[task] = sums[task] + value.to(sums[task].device) if task in sums else value
