"""The schedule of a training run: how many steps it makes, and the learning rate of each.

With a time budget (`training.minutes`) the first steps are timed, and the number of steps is then planned: the
recipe's, or as many as fit. What is left of the learning rate's course is passed in the steps that are left, so it ends
as it would without a budget. Later steps are timed too, and it is planned again where the machine has become faster or
slower, as one does that was busy with something else in the beginning. Where more steps fit than were planned, the
course is taken back to the share of them that was made, as a few slow steps had passed much of it. So long sequences
cost steps and no time. The number is part of the checkpoint: a resumed run keeps what was planned, however fast the
machine is by then.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from trainer.config.recipe import TrainingRecipe

__all__ = ["Schedule"]

MEASURED_STEPS = 20
"""Steps that are timed before their number is planned, and planned again; half of those that are left, where they are
fewer: a machine that was busy in the beginning would else end a run after a handful."""
MEASURED_SHARE = 0.1
"""Share of the budget after which their number is planned for the first time, even if fewer steps were timed."""
NOISE = 0.05
"""Share by which a later plan must differ from the one before to take its place."""
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
        self._done, self._spent = 0, 0.0  # steps and seconds so far
        self._seconds: list[float] = []  # of every step since the last plan, or since that was found good again
        self._planned_at: int | None = None  # the number of steps that had been made when `steps` was planned
        self._place = 0.0  # of the course, in steps of the recipe, where it was planned
        self._keeps = False  # the plan, as a run does that was resumed

    @property
    def measuring(self) -> bool:
        """Whether nothing is planned yet, for want of steps that were timed."""
        return self._recipe.minutes is not None and self._planned_at is None

    @property
    def timing(self) -> bool:
        """Whether steps are to be timed."""
        return self._recipe.minutes is not None and not self._keeps

    def add_step(self, seconds: float) -> bool:
        """Counts a step that took so long. Returns whether their number was planned now, or planned otherwise."""
        assert self._recipe.minutes is not None
        self._done, self._spent = self._done + 1, self._spent + seconds
        self._seconds.append(seconds)
        budget, enough = 60 * self._recipe.minutes, len(self._seconds) >= self._measured_steps
        if not enough and not (self.measuring and self._spent >= MEASURED_SHARE * budget):
            return False
        typical = self._seconds[min(WARM_UP_STEPS, self._done - 1) :] if self.measuring else self._seconds
        left = max(0.0, (1 - RESERVE) * budget - self._spent)
        per_step = sum(typical) / len(typical)
        more = math.floor(left / per_step) if per_step > 0 else self._recipe.steps
        steps = min(self._recipe.steps, self._done + more)
        self._seconds = []
        if not self.measuring and abs(steps - self.steps) <= NOISE * self.steps:
            return False
        place = self._place_of(self._done)
        if not self.measuring and steps > self.steps:
            place = min(place, self._done / steps * self._recipe.steps)
        self._place, self._planned_at, self.steps = place, self._done, steps
        return True

    @property
    def _measured_steps(self) -> int:
        """How many steps are timed before their number is planned, or planned again."""
        if self.measuring:
            return MEASURED_STEPS
        left = self.steps - (self._done - len(self._seconds))  # when it was planned
        return min(MEASURED_STEPS, max(1, left // 2))

    def _place_of(self, step: int) -> float:
        """Where in the recipe's course a step is."""
        if self._planned_at is None or step < self._planned_at:
            return float(step)
        if self.steps == self._planned_at:
            return self._place
        stretch = (self._recipe.steps - self._place) / (self.steps - self._planned_at)
        return self._place + (step - self._planned_at) * stretch

    def learning_rate_share(self, step: int) -> float:
        """The learning rate at a step as a share of its peak: a linear warm-up, then a cosine down to `final_lr`."""
        recipe, place = self._recipe, self._place_of(step)
        warmup = max(1, round(recipe.warmup * recipe.steps))
        if place < warmup:
            return min(1.0, (place + 1) / warmup)
        done = (place - warmup) / max(1, recipe.steps - warmup)
        return recipe.final_lr + (1 - recipe.final_lr) * 0.5 * (1 + math.cos(math.pi * done))

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint holds of it."""
        return {
            "steps": self.steps,
            "done": self._done,
            "spent": self._spent,
            "seconds": self._seconds,
            "planned_at": self._planned_at,
            "place": self._place,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state_dict` returned, and keeps what was planned."""
        self.steps, self._done = int(state["steps"]), int(state["done"])
        self._spent, self._place = float(state["spent"]), float(state["place"])
        self._seconds = [float(seconds) for seconds in state["seconds"]]
        self._planned_at = None if state["planned_at"] is None else int(state["planned_at"])
        self._keeps = self._planned_at is not None
