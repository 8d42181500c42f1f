"""Figures of one optimiser step: per task, per subspace, and the report that `GemsOptimizer.step` returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from catalog.text.prompts import TASKS, Task

__all__ = ["SUBSPACES", "Gates", "PerTask", "StepStats", "SubspaceName"]

SubspaceName = Literal["shared"] | Task
SUBSPACES: tuple[SubspaceName, ...] = ("shared", *TASKS)


@dataclass(frozen=True, slots=True)
class PerTask:
    """One number for each task."""

    search: float
    recommendation: float

    def of(self, task: Task) -> float:
        return self.search if task == "search" else self.recommendation

    @property
    def total(self) -> float:
        return self.search + self.recommendation

    def shares(self) -> PerTask:
        """Each task's share of the sum; one half each where the sum is zero."""
        total = self.total
        return PerTask(self.search / total, self.recommendation / total) if total > 0 else PerTask(0.5, 0.5)


@dataclass(frozen=True, slots=True)
class Gates:
    """The weights with which the three subspaces' updates are added."""

    shared: float
    search: float
    recommendation: float

    def of(self, subspace: SubspaceName) -> float:
        return {"shared": self.shared, "search": self.search, "recommendation": self.recommendation}[subspace]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStats:
    """What a step did.

    step: steps applied so far.
    applied: False if a loss or a gradient was not finite, and so nothing was changed.
    gates: the weights of the subspaces' updates in this step.
    temperature: the temperature of the gate's softmax; None where no gate is learned.
    tokens: how many target tokens of each task the batch has.
    losses: each task's mean loss over its tokens, 0 for an absent task; None where `task()` was not given losses.
    grad_norms: the norm of each task's gradient projected on its own subspaces; None without decomposition.
    grad_norm: the norm of the batch's gradient before clipping, as GemsOptimizer's docstring defines it.
    update_norm: the norm of the change of all projected weights together.
    hypergradient: the derivative of this batch's loss by the gates of the step before; None where it is not known.
    refreshed: whether any layer chose new bases.
    """

    step: int
    applied: bool
    gates: Gates
    temperature: float | None
    tokens: PerTask
    losses: PerTask | None
    grad_norms: PerTask | None
    grad_norm: float
    update_norm: float
    hypergradient: PerTask | None
    refreshed: bool
