"""Accumulation of a batch's gradients: over micro-batches during the backward passes, then over ranks by one sum.

A projected layer hands over what its gradient is a product of (layer/linear.py). Other weights, and sharded ones, have
hooks that run when their gradient has been computed.

Projected gradients, sketches and the gradients of plain weights are linear in the gradient, so their token-weighted
sums over micro-batches and ranks are those of the whole batch. The complete gradient of a projected weight [S, L] is
never sent between ranks: only its projections [R, L] are, and in refresh steps its sketches [S, C].

Under FSDP2 a hook runs when a gradient has been summed over the ranks, and gets the rows of it that this rank holds.
The hooks run in the same order on all ranks, so they may call collectives.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from catalog.text.prompts import TASKS, Task
from trainer.core.errors import OptimizerUseError
from trainer.distributed.group import ProcessGroup
from trainer.gems.adam import AdamSettings, PlainWeight
from trainer.gems.layer import Gradient, InterceptedLinear, ProjectedLayer
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
    """The micro-batch whose backward pass is running.

    task: the task whose loss is sent backward.
    tokens: how many target tokens that loss is a mean over.
    step: steps applied so far.
    adam: Adam's settings, with which directional derivatives along the last step's directions are computed; None where
        they are not wanted.
    """

    task: Task
    tokens: int
    step: int
    adam: AdamSettings | None


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


class GradientAccumulator:
    """Takes the gradient of every trained weight as soon as a backward pass comes to it.

    weights: the projected and the plain weights, which accumulate what is handed to them.
    modules: layers by name; the gradients of projected ones among them are taken before they are computed.

    Outside of `micro_batch` nothing is taken, so other code may use gradients as usual.
    """

    def __init__(self, weights: Sequence[TrainedWeight], modules: Mapping[str, nn.Linear]) -> None:
        self.weights = weights
        self.batch = BatchTotals()
        self._current: MicroBatch | None = None
        self._intercepted = [
            InterceptedLinear(modules[trained.name], partial(self._take_factors, trained))
            for trained in weights
            if isinstance(trained, ProjectedLayer) and trained.name in modules
        ]
        self._handles = [
            trained.weight.register_post_accumulate_grad_hook(partial(self._hook, trained))  # type: ignore[no-untyped-call]
            for trained in weights
        ]

    @contextmanager
    def micro_batch(self, micro_batch: MicroBatch, loss: Tensor | float | None) -> Iterator[None]:
        """A context for the backward pass of one micro-batch. An error inside it drops the whole batch.

        loss: the mean loss that is sent backward; None where it is not known.

        Raises OptimizerUseError for an unknown task, no target tokens, a context inside another one, gradients left
        from before, or no backward pass inside.
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
        """Adds up what all ranks have accumulated of the batch, and returns the batch's totals.

        replica_group: ranks that each hold the whole model and had a part of the batch.
        shard_group: ranks that each hold some rows of every weight.

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
        """Takes no more gradients: the layers and weights are left as they were before."""
        for handle in self._handles:
            handle.remove()
        for intercepted in self._intercepted:
            intercepted.release()

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
        if self._current is None or trained.weight.grad is None:  # its factors were taken
            return
        if isinstance(trained, PlainWeight):
            self.batch.gradients += 1
            trained.accumulate(tokens=self._current.tokens)
        else:
            self._accumulate(trained, trained.take_gradient(), self._current)

    @torch.no_grad()
    def _take_factors(self, layer: ProjectedLayer, outputs_TM: Tensor, inputs_TN: Tensor) -> bool:
        if self._current is None:
            return False
        self._accumulate(layer, layer.gradient_of(outputs_TM, inputs_TN), self._current)
        return True

    def _accumulate(self, layer: ProjectedLayer, gradient: Gradient, current: MicroBatch) -> None:
        self.batch.gradients += 1
        derivatives = layer.accumulate(
            current.task, gradient, tokens=current.tokens, step=current.step, adam=current.adam
        )
        for task, derivative in derivatives.items():
            self.batch.add_derivative(task, derivative * current.tokens)


def all_reduce_accumulators(weights: Sequence[TrainedWeight], replica_group: ProcessGroup) -> None:
    """Replaces every accumulator by its sum over the ranks. A rank that got no gradient for one adds zeros."""
    if replica_group.world_size == 1:
        return
    present = [tensor is not None for trained in weights for tensor in trained.accumulators()]
    flags = iter(replica_group.all_reduce_any(present))
    for trained in weights:
        trained.fill_missing([next(flags) for _ in trained.accumulators()])
    replica_group.all_reduce(present_accumulators(weights))


def present_accumulators(weights: Sequence[TrainedWeight]) -> list[Tensor]:
    """All tensors that the backward passes of this batch have accumulated: sums weighted by tokens."""
    return [tensor for trained in weights for tensor in trained.accumulators() if tensor is not None]


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
