"""The schedule of a training run: how many steps it makes, and the learning rate of each.

With a time budget (`training.minutes`) the first steps are timed, and the number of steps is then fixed once: the
recipe's, or as many as fit. What is left of the learning rate's course is passed in the steps that are left, so it ends
as it would without a budget. The number is part of the checkpoint. So long sequences cost steps and no time, while a
resumed run makes the steps that an uninterrupted one makes, however fast the machine is by then.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from trainer.config.recipe import TrainingRecipe

__all__ = ["Schedule"]

MEASURED_STEPS = 20
"""Steps that are timed before their number is fixed."""
MEASURED_SHARE = 0.1
"""Share of the budget after which their number is fixed, even if fewer steps were timed."""
WARM_UP_STEPS = 2
"""Steps at the beginning that say nothing about later ones, as memory is claimed and code compiled in them."""
RESERVE = 0.05
"""Share of the budget that is kept for checkpoints, and for rare work such as a refresh of the subspaces."""


class Schedule:
    """The number of steps and the course of the learning rate.

    steps: how many steps the run makes, as far as is known.
    """

    def __init__(self, recipe: TrainingRecipe) -> None:
        self._recipe = recipe
        self.steps = recipe.steps
        self._fixed_at: int | None = None  # the number of steps that had been made when `steps` was fixed
        self._seconds: list[float] = []  # of every step so far, while `steps` is not fixed

    @property
    def measuring(self) -> bool:
        """Whether steps are still to be timed."""
        return self._recipe.minutes is not None and self._fixed_at is None

    def add_step(self, seconds: float) -> bool:
        """Counts a step that took so long. Returns whether the number of steps is fixed now."""
        assert self._recipe.minutes is not None
        self._seconds.append(seconds)
        budget, spent, done = 60 * self._recipe.minutes, sum(self._seconds), len(self._seconds)
        if done < MEASURED_STEPS and spent < MEASURED_SHARE * budget:
            return False
        typical = self._seconds[min(WARM_UP_STEPS, done - 1) :]
        left = max(0.0, (1 - RESERVE) * budget - spent)
        per_step = sum(typical) / len(typical)
        more = math.floor(left / per_step) if per_step > 0 else self._recipe.steps
        self.steps = min(self._recipe.steps, done + more)
        self._fixed_at = done
        return True

    def learning_rate_share(self, step: int) -> float:
        """The learning rate at a step as a share of its peak: a linear warm-up, then a cosine down to `final_lr`."""
        recipe, place = self._recipe, float(step)
        if self._fixed_at is not None and self._fixed_at <= step and self.steps < recipe.steps:
            stretch = (recipe.steps - self._fixed_at) / (self.steps - self._fixed_at)
            place = self._fixed_at + (step - self._fixed_at) * stretch
        warmup = max(1, round(recipe.warmup * recipe.steps))
        if place < warmup:
            return min(1.0, (place + 1) / warmup)
        done = (place - warmup) / max(1, recipe.steps - warmup)
        return recipe.final_lr + (1 - recipe.final_lr) * 0.5 * (1 + math.cos(math.pi * done))

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint holds of it."""
        return {"steps": self.steps, "fixed_at": self._fixed_at, "seconds": self._seconds}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state_dict` returned."""
        self.steps = int(state["steps"])
        self._fixed_at = None if state["fixed_at"] is None else int(state["fixed_at"])
        self._seconds = [float(seconds) for seconds in state["seconds"]]
