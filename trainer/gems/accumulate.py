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

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import torch
from torch import Tensor, nn

from catalog.text.prompts import TASKS, Task
from trainer.core.errors import OptimizerUseError
from trainer.distributed.group import ProcessGroup
from trainer.gems.adam import AdamSettings, PlainWeight
from trainer.gems.batch import BatchTotals
from trainer.gems.layer import Gradient, InterceptedLinear, ProjectedLayer

__all__ = [
    "GradientAccumulator",
    "MicroBatch",
    "all_reduce_accumulators",
    "present_accumulators",
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
