"""What becomes of versions that are to be served: how far each is, and why the last try of one failed."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

__all__ = ["Failure", "RolloutLog", "RolloutStep", "Step"]

Step = Literal["loading", "checking", "catching_up"]
"""An engine loads the model; it is asked the golden queries; changes of items and events are applied."""


@dataclass(frozen=True, slots=True)
class RolloutStep:
    """since: Unix ms."""

    step: Step
    since: int


@dataclass(frozen=True, slots=True)
class Failure:
    """at: Unix ms."""

    reason: str
    at: int


class RolloutLog:
    """Written by those who load models, read by whoever waits for them. It ends with the server."""

    def __init__(self) -> None:
        self._steps: dict[str, RolloutStep] = {}
        self._failures: dict[str, Failure] = {}

    def step(self, version: str, step: Step) -> None:
        """A version has come so far; what was said of an earlier try is forgotten."""
        self._failures.pop(version, None)
        self._steps[version] = RolloutStep(step, _now())

    def failed(self, version: str, reason: str) -> None:
        """A version is not served after all."""
        self._failures[version] = Failure(reason, _now())

    def end(self) -> None:
        """Nothing is on its way any more."""
        self._steps.clear()

    def step_of(self, version: str) -> RolloutStep | None:
        """Where a version is on its way."""
        return self._steps.get(version)

    def failure_of(self, version: str) -> Failure | None:
        """Why the last try to serve a version failed, if it did."""
        return self._failures.get(version)


def _now() -> int:
    return time.time_ns() // 1_000_000
