"""What the training loop needs of a method: take the losses of a batch, then make one step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch

from catalog.text.prompts import Task


@dataclass(frozen=True, slots=True)
class StepResult:
    """applied: False where a loss or gradient was not finite, and nothing was changed.
    figures: what the progress line and the step log show beside the losses, such as the gates.
    """

    applied: bool
    figures: dict[str, float]


class Method(Protocol):
    """A way to turn the losses of a batch into an update of the weights."""

    @property
    def unservable_reason(self) -> str | None:
        """Why the model cannot be served, because `finish` leaves no checkpoint of the base's architecture; or None."""
        ...

    def backward(self, loss: torch.Tensor, task: Task, *, tokens: int, batch_tokens: int) -> None:
        """Sends one micro-batch backward.

        loss: the mean over its target tokens.
        tokens: how many those are.
        batch_tokens: target tokens of the whole batch.
        """
        ...

    def step(self, lr_share: float) -> StepResult:
        """Updates the weights with `lr_share` of the peak learning rate."""
        ...

    def finish(self) -> None:
        """After the last step: puts whatever the method added into the model's own weights, where that is possible."""
        ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...
