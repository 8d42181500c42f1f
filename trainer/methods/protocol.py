"""What the training loop asks of a method: take the losses of a batch, then make one step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch

from catalog.text.prompts import Task


@dataclass(frozen=True, slots=True)
class StepResult:
    applied: bool  # False: a loss or gradient was not finite, and nothing was changed
    figures: dict[str, float]  # what the progress line shows, such as the gates


class Method(Protocol):
    @property
    def obstacle(self) -> str | None:
        """Why what `finish` leaves is no checkpoint of the base's architecture and cannot be served; None if it is."""
        ...

    def backward(self, loss: torch.Tensor, task: Task, *, tokens: int, batch_tokens: int) -> None:
        """Takes the mean loss of `tokens` target tokens, of `batch_tokens` in the whole batch."""
        ...

    def step(self, lr_share: float) -> StepResult:
        """Updates the weights with `lr_share` of the peak learning rate."""
        ...

    def finish(self) -> None:
        """After the last step: puts whatever the method added into the model's own weights, where that is possible."""
        ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...
