"""What the backward passes of one step leave beside the images, and the numbers measured from both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.utils import get_total_norm

from catalog.text.prompts import TASKS, Task
from trainer.distributed.group import ProcessGroup
from trainer.gems.layer import ProjectedLayer
from trainer.gems.plain import PlainWeight
from trainer.gems.stats import PARTS, PerTask

__all__ = ["Batch", "Measured", "measure", "total_norms"]


@dataclass(slots=True)
class Batch:
    """Sums over micro-batches, weighted by tokens."""

    tokens: dict[Task, int] = field(default_factory=lambda: dict.fromkeys(TASKS, 0))
    gradients: int = 0  # how often a hook ran
    slopes: dict[Task, Tensor] = field(default_factory=dict)  # tokens · ⟨gradient, direction of the last step⟩
    _losses: dict[Task, Tensor] = field(default_factory=dict)
    _all_losses_given: bool = True

    @property
    def counts(self) -> PerTask:
        return PerTask(self.tokens["search"], self.tokens["recommendation"])

    @property
    def total(self) -> int:
        return sum(self.tokens.values())

    def add(self, task: Task, tokens: int, loss: Tensor | float | None) -> None:
        """Counts one micro-batch; no loss for any of them makes losses() None."""
        self.tokens[task] += tokens
        if loss is None:
            self._all_losses_given = False
        else:
            _add(self._losses, task, torch.as_tensor(loss).detach().double() * tokens)

    def add_slope(self, task: Task, slope: Tensor) -> None:
        """`slope`: a scalar, already times its micro-batch's tokens."""
        _add(self.slopes, task, slope)

    def losses(self) -> PerTask | None:
        """The tasks' mean losses, 0 for an absent one."""
        if not self._all_losses_given:
            return None
        means = {task: float(self._losses[task]) / self.tokens[task] for task in self._losses}
        return PerTask(means.get("search", 0.0), means.get("recommendation", 0.0))

    def hypergradient(self, rate: float) -> PerTask | None:
        """∂loss/∂gate of the last step, which moved the weights by `rate` times direction; None if not known."""
        if not self.slopes:
            return None
        means = {task: -rate * float(slope) / self.total for task, slope in self.slopes.items()}
        return PerTask(means.get("search", 0.0), means.get("recommendation", 0.0))

    def sum_over(self, processes: ProcessGroup) -> None:
        """Replaces all of it by the sums over the processes. One that had no part of the batch adds nothing."""
        if processes.world == 1:
            return
        sums = (self._losses, self.slopes)
        numbers = [float(self.tokens[task]) for task in TASKS]
        numbers += [float(values.get(task, 0.0)) for values in sums for task in TASKS]
        known = processes.any([not self._all_losses_given, *(task in values for values in sums for task in TASKS)])
        totals, flags = iter(processes.sum_numbers(numbers)), iter(known)
        self._all_losses_given = not next(flags)
        self.tokens = {task: round(next(totals)) for task in TASKS}
        for values in sums:
            found = {task: torch.tensor(next(totals), dtype=torch.float64) for task in TASKS}
            values.clear()
            values.update({task: total for task, total in found.items() if next(flags)})

    def sum_slopes_over(self, shards: ProcessGroup) -> None:
        """Adds up the slopes that processes found along the rows they hold; the rest is the same in all of them."""
        if shards.world == 1:
            return
        tasks = sorted(self.slopes)
        sums = shards.sum_numbers([float(self.slopes[task]) for task in tasks])
        self.slopes = {task: torch.tensor(total, dtype=torch.float64) for task, total in zip(tasks, sums, strict=True)}


@dataclass(frozen=True, slots=True)
class Measured:
    """The numbers of one batch, on the host."""

    losses: PerTask | None
    grad_norms: PerTask  # of the tasks' own images
    grad_norm: float  # of the shared images and the gradients of weights that are not projected
    hypergradient: PerTask | None

    def finite(self) -> bool:
        pairs = [pair for pair in (self.losses, self.grad_norms, self.hypergradient) if pair is not None]
        numbers = [number for pair in pairs for number in (pair.search, pair.recommendation)]
        return all(map(math.isfinite, [self.grad_norm, *numbers]))


def measure(
    batch: Batch, layers: Sequence[ProjectedLayer], plain: Sequence[PlainWeight], last_rate: float, shards: ProcessGroup
) -> Measured:
    """From finished images (means over tokens) and plain gradients that are still sums; `shards` hold them together."""
    images = [[layer.subspaces[part].image_RL for layer in layers if part in layer.subspaces] for part in PARTS]
    gradients = [weight.gradient for weight in plain]
    shared, search, recommendation, others = total_norms([*images, gradients], shards)
    return Measured(
        losses=batch.losses(),
        grad_norms=PerTask(search, recommendation),
        grad_norm=math.hypot(shared, others / batch.total),
        hypergradient=batch.hypergradient(last_rate),
    )


def total_norms(groups: Sequence[Sequence[Tensor | None]], shards: ProcessGroup) -> list[float]:
    """The Frobenius norm over all tensors of each group, of which every process holds a part."""
    norms = [float(get_total_norm([tensor for tensor in group if tensor is not None])) for group in groups]
    return [math.sqrt(square) for square in shards.sum_numbers([norm * norm for norm in norms])]


def _add(sums: dict[Task, Tensor], task: Task, value: Tensor) -> None:
    sums[task] = sums[task] + value.to(sums[task].device) if task in sums else value
