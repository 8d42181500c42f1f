"""Takes gradients off the weights, as backward passes complete them, for the batch that the optimiser steps on next.

Under FSDP2 a hook comes when a gradient has been summed over the processes, with the rows of it that are here. The
hooks of all processes then run in one order, so that what they ask of each other meets.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from catalog.text.prompts import TASKS, Task
from trainer.core.errors import OptimizerUseError
from trainer.distributed.group import ProcessGroup
from trainer.gems.adam import Adam
from trainer.gems.batch import Batch
from trainer.gems.layer import ProjectedLayer
from trainer.gems.plain import PlainWeight
from trainer.gems.reduction import present, sum_accumulators

__all__ = ["Intake", "MicroBatch"]


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """What a hook must know of the backward pass that it runs in."""

    task: Task
    tokens: int
    step: int  # steps applied before
    probe: Adam | None  # with it, slopes along the last step's directions are taken


class Intake:
    """Outside of `taking` the hooks do nothing, so other code may use gradients as usual."""

    def __init__(self, owners: Sequence[ProjectedLayer | PlainWeight]) -> None:
        self.owners = owners
        self.batch = Batch()
        self._current: MicroBatch | None = None
        self._handles = [
            owner.weight.register_post_accumulate_grad_hook(partial(self._take, owner))  # type: ignore[no-untyped-call]
            for owner in owners
        ]

    @contextmanager
    def taking(self, part: MicroBatch, loss: Tensor | float | None) -> Iterator[None]:
        """Within it a backward pass on one micro-batch runs. Raises OptimizerUseError where that has no meaning."""
        self._check_entry(part)
        before, self._current = self.batch.gradients, part
        try:
            yield
        except BaseException:
            self.discard()
            raise
        finally:
            self._current = None
        if self.batch.gradients == before:
            raise OptimizerUseError(f'no gradient arrived inside task("{part.task}"): call loss.backward() there')
        self.batch.add(part.task, part.tokens, loss)

    def complete(self, processes: ProcessGroup, shards: ProcessGroup) -> Batch:
        """The whole batch, with what other processes have of it. Raises OptimizerUseError where there is none.

        processes: each had a share of it. shards: each had a share of every weight.
        """
        self.batch.sum_over(processes)
        if self.batch.total == 0:
            raise OptimizerUseError('step() without gradients: run backward inside task("search", tokens=…) first')
        self.batch.sum_slopes_over(shards)
        sum_accumulators(self.owners, processes)
        return self.batch

    def accumulators(self) -> list[Tensor]:
        """All tensors that the backward passes left, as sums weighted by tokens and linear in the gradient."""
        return present(self.owners)

    def discard(self) -> None:
        """Forgets the batch so far."""
        self.batch = Batch()
        for owner in self.owners:
            owner.discard()

    def close(self) -> None:
        """Takes the hooks off the weights."""
        for handle in self._handles:
            handle.remove()

    def _check_entry(self, part: MicroBatch) -> None:
        task, tokens = part.task, part.tokens
        if task not in TASKS:
            raise OptimizerUseError(f"there is no task {task!r}: it is one of {', '.join(TASKS)}")
        if tokens < 1:
            raise OptimizerUseError(f'task("{task}", tokens={tokens}): leave out a task that has no target tokens')
        if self._current is not None:
            raise OptimizerUseError(f'task("{task}") inside task("{self._current.task}"): close one before the next')
        for owner in self.owners:
            if owner.weight.grad is not None:
                raise OptimizerUseError(
                    f"{owner.name} has a gradient from outside of any task, which would be counted in: "
                    "call zero_grad() before the first task of a step"
                )

    @torch.no_grad()
    def _take(self, owner: ProjectedLayer | PlainWeight, weight: Tensor) -> None:
        """The hook: a backward pass has just completed `weight.grad`."""
        part = self._current
        if part is None:
            return
        self.batch.gradients += 1
        if isinstance(owner, PlainWeight):
            owner.observe(tokens=part.tokens)
            return
        for moved, slope in owner.observe(part.task, tokens=part.tokens, step=part.step, probe=part.probe).items():
            self.batch.add_slope(moved, slope * part.tokens)
