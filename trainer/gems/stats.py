"""What one optimiser step reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from catalog.text.prompts import TASKS, Task

__all__ = ["PARTS", "Gates", "Part", "PerTask", "StepStats"]

Part = Literal["shared"] | Task  # of an update: one for each subspace
PARTS: tuple[Part, ...] = ("shared", *TASKS)


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
        """Each one's part of the sum; a half each where the sum is zero."""
        total = self.total
        return PerTask(self.search / total, self.recommendation / total) if total > 0 else PerTask(0.5, 0.5)


@dataclass(frozen=True, slots=True)
class Gates:
    """The weights of the three subspaces' updates."""

    shared: float
    search: float
    recommendation: float

    def of(self, part: Part) -> float:
        return {"shared": self.shared, "search": self.search, "recommendation": self.recommendation}[part]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStats:
    """`applied` is False when a loss or a gradient was not finite: then nothing at all was changed."""

    step: int  # steps applied so far
    applied: bool
    gates: Gates
    temperature: float | None  # of the gate's softmax; None where no gate is learned
    tokens: PerTask
    losses: PerTask | None  # token-weighted means; None where task() was not given them; 0 for an absent task
    grad_norms: PerTask | None  # of the tasks' own low-rank images; None without decomposition
    grad_norm: float  # of the whole batch's gradient as the optimiser sees it, before clipping
    update_norm: float  # of the projected weights' change, all layers together
    hypergradient: PerTask | None  # derivative of this batch's loss by the gates of the step before, where known
    refreshed: bool  # new subspaces were chosen
