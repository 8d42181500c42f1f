"""Accumulation of a batch's gradients: over micro-batches by hooks on the weights, then over ranks by one sum.

Projected gradients, sketches and the gradients of plain weights are linear in the gradient, so their token-weighted
sums over micro-batches and ranks are those of the whole batch. A complete gradient is never sent: of a projected weight
S×L only projected gradients R×L, and sketches in refresh steps.

Under FSDP2 a hook runs when a gradient has been summed over the ranks, with this rank's rows of it. The hooks of all
ranks run in the same order, so collectives inside them meet.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn.utils import get_total_norm

from catalog.text.prompts import TASKS, Task
from trainer.core.errors import OptimizerUseError
from trainer.distributed.group import ProcessGroup
from trainer.gems.adam import AdamSettings, PlainWeight
from trainer.gems.layer import ProjectedLayer
from trainer.gems.stats import SUBSPACES, PerTask

__all__ = [
    "BatchMetrics",
    "BatchTotals",
    "GradientAccumulator",
    "MicroBatch",
    "all_reduce_accumulators",
    "measure_batch",
    "present_accumulators",
    "total_norms",
]

TrainedWeight: TypeAlias = ProjectedLayer | PlainWeight


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """The backward pass that hooks run in.

    tokens: target tokens that the loss is a mean over.
    step: steps applied before.
    adam: where given, directional derivatives along the last step's directions are computed.
    """

    task: Task
    tokens: int
    step: int
    adam: AdamSettings | None


@dataclass(slots=True)
class BatchTotals:
    """Sums over the micro-batches of a batch, each weighted by its tokens.

    tokens: target tokens of each task.
    gradients: how many gradients the hooks have taken.
    derivatives: tokens · ⟨gradient, the task's last direction⟩, scalars, of the tasks that the last step updated.
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
        """Adds one micro-batch and its mean loss. Once a loss is missing, losses() is None."""
        self.tokens[task] += tokens
        if loss is None:
            self._all_losses_given = False
        else:
            _add(self._losses, task, torch.as_tensor(loss).detach().double() * tokens)

    def add_derivative(self, task: Task, derivative: Tensor) -> None:
        """Adds a directional derivative, already multiplied by its micro-batch's tokens."""
        _add(self.derivatives, task, derivative)

    def losses(self) -> PerTask | None:
        """The tasks' mean losses, 0 for an absent task; None unless every micro-batch came with its loss."""
        if not self._all_losses_given:
            return None
        means = {task: float(self._losses[task]) / self.tokens[task] for task in self._losses}
        return PerTask(means.get("search", 0.0), means.get("recommendation", 0.0))

    def hypergradient(self, step_size: float) -> PerTask | None:
        """∂loss/∂gate of the last step, which moved the weights by -step_size · gate · direction; None if unknown."""
        if not self.derivatives:
            return None
        means = {task: -step_size * float(total) / self.total_tokens for task, total in self.derivatives.items()}
        return PerTask(means.get("search", 0.0), means.get("recommendation", 0.0))

    def all_reduce(self, replica_group: ProcessGroup) -> None:
        """Replaces all totals by their sums over ranks that each had a part of the batch, or none of it."""
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
        """Sums the directional derivatives of ranks that each hold some rows; all other totals are equal there."""
        if shard_group.world_size == 1:
            return
        tasks = sorted(self.derivatives)
        totals = shard_group.all_reduce_numbers([float(self.derivatives[task]) for task in tasks])
        self.derivatives = {
            task: torch.tensor(total, dtype=torch.float64) for task, total in zip(tasks, totals, strict=True)
        }


class GradientAccumulator:
    """Hooks that take the gradient of every trained weight as soon as a backward pass has completed it.

    Outside of `micro_batch` the hooks do nothing, so other code may use gradients as usual.
    """

    def __init__(self, weights: Sequence[TrainedWeight]) -> None:
        self.weights = weights
        self.batch = BatchTotals()
        self._current: MicroBatch | None = None
        self._handles = [
            trained.weight.register_post_accumulate_grad_hook(partial(self._hook, trained))  # type: ignore[no-untyped-call]
            for trained in weights
        ]

    @contextmanager
    def micro_batch(self, micro_batch: MicroBatch, loss: Tensor | float | None) -> Iterator[None]:
        """A context in which the backward pass of one micro-batch runs. An error in it drops the whole batch.

        Raises OptimizerUseError where the call has no meaning, such as without a backward pass.
        """
        self._check_entry(micro_batch)
        before, self._current = self.batch.gradients, micro_batch
        try:
            yield
        except BaseException:
            self.discard()
            raise
        finally:
            self._current = None
        if self.batch.gradients == before:
            raise OptimizerUseError(
                f'no gradient arrived inside task("{micro_batch.task}"): call loss.backward() there'
            )
        self.batch.add(micro_batch.task, micro_batch.tokens, loss)

    def all_reduce(self, replica_group: ProcessGroup, shard_group: ProcessGroup) -> BatchTotals:
        """Completes the batch with what other ranks have accumulated of it, and returns its totals.

        replica_group: ranks that each had a part of the batch.
        shard_group: ranks that each have some rows of every weight.

        Raises OptimizerUseError where no rank has accumulated anything.
        """
        self.batch.all_reduce(replica_group)
        if self.batch.total_tokens == 0:
            raise OptimizerUseError('step() without gradients: run backward inside task("search", tokens=…) first')
        self.batch.all_reduce_derivatives(shard_group)
        all_reduce_accumulators(self.weights, replica_group)
        return self.batch

    def discard(self) -> None:
        """Drops the batch so far."""
        self.batch = BatchTotals()
        for trained in self.weights:
            trained.discard()

    def close(self) -> None:
        """Removes the hooks."""
        for handle in self._handles:
            handle.remove()

    def _check_entry(self, micro_batch: MicroBatch) -> None:
        task, tokens = micro_batch.task, micro_batch.tokens
        if task not in TASKS:
            raise OptimizerUseError(f"there is no task {task!r}: it is one of {', '.join(TASKS)}")
        if tokens < 1:
            raise OptimizerUseError(f'task("{task}", tokens={tokens}): leave out a task that has no target tokens')
        if self._current is not None:
            raise OptimizerUseError(f'task("{task}") inside task("{self._current.task}"): close one before the next')
        for trained in self.weights:
            if trained.weight.grad is not None:
                raise OptimizerUseError(
                    f"{trained.name} has a gradient from outside of any task, which would be counted in: "
                    "call zero_grad() before the first task of a step"
                )

    @torch.no_grad()
    def _hook(self, trained: TrainedWeight, _weight: Tensor) -> None:
        current = self._current
        if current is None:
            return
        self.batch.gradients += 1
        if isinstance(trained, PlainWeight):
            trained.accumulate(tokens=current.tokens)
            return
        derivatives = trained.accumulate(current.task, tokens=current.tokens, step=current.step, adam=current.adam)
        for task, derivative in derivatives.items():
            self.batch.add_derivative(task, derivative * current.tokens)


def all_reduce_accumulators(weights: Sequence[TrainedWeight], replica_group: ProcessGroup) -> None:
    """Replaces every accumulator by its sum over the ranks; a rank without a gradient there adds zeros."""
    if replica_group.world_size == 1:
        return
    present = [tensor is not None for trained in weights for tensor in trained.accumulators()]
    flags = iter(replica_group.all_reduce_any(present))
    for trained in weights:
        trained.fill_missing([next(flags) for _ in trained.accumulators()])
    replica_group.all_reduce(present_accumulators(weights))


def present_accumulators(weights: Sequence[TrainedWeight]) -> list[Tensor]:
    """All tensors that the backward passes of this batch have left, as sums weighted by tokens."""
    return [tensor for trained in weights for tensor in trained.accumulators() if tensor is not None]


@dataclass(frozen=True, slots=True)
class BatchMetrics:
    """The figures of one batch, on the host.

    grad_norms: of each task's gradient, projected on its own subspaces.
    grad_norm: of the batch's gradient, projected on the shared subspaces, and of the plain weights' gradients.
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
    """The figures of a batch whose projected gradients are averaged and whose plain gradients are still sums."""
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
    """The Frobenius norm over all tensors of each group, of which every rank holds a part."""
    norms = [float(get_total_norm([tensor for tensor in group if tensor is not None])) for group in groups]
    return [math.sqrt(square) for square in shard_group.all_reduce_numbers([norm * norm for norm in norms])]


def _add(sums: dict[Task, Tensor], task: Task, value: Tensor) -> None:
    sums[task] = sums[task] + value.to(sums[task].device) if task in sums else value
