"""What the training loop needs of a method: take the losses of a batch, then make one step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch

from catalog.text.prompts import Task


@dataclass(frozen=True, slots=True)
class StepResult:
    """What a step did.

    applied: False if a loss or a gradient was not finite, and so nothing was changed.
    figures: what the progress line and the step log show beside the losses, such as the gates, by name.
    """

    applied: bool
    figures: dict[str, float]


class Method(Protocol):
    """A way to turn the losses of a batch into an update of the weights."""

    @property
    def unservable_reason(self) -> str | None:
        """Why no server could load the model that `finish` leaves; None where one can.

        A servable model is a plain checkpoint of the base's architecture.
        """
        ...

    def backward(self, loss: torch.Tensor, task: Task, *, tokens: int, batch_tokens: int) -> None:
        """Sends the loss of one micro-batch backward.

        loss: the mean over the micro-batch's target tokens, a scalar.
        task: the task of all its sequences.
        tokens: how many target tokens it has.
        batch_tokens: how many target tokens the whole batch has.
        """
        ...

    def step(self, lr_share: float) -> StepResult:
        """Updates the weights from all losses since the last step.

        lr_share: the learning rate, as a share of its peak.
        """
        ...

    def finish(self) -> None:
        """Merges what the method added to the model into the model's own weights, where it can. The last call."""
        ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...
