"""The mean of the weights after each of the last steps, which is what a run publishes with `training.average`.

While the learning rate is still high, steps wander around what they have found, and their mean lies nearer to it than
the last of them (Izmailov et al., "Averaging Weights Leads to Wider Optima and Better Generalization", UAI 2018). GEMS
moves weights within a space that their mean does not leave, so what it protects stays protected.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from trainer.distributed.dtensor import local_weights

__all__ = ["WeightAverage"]


class WeightAverage:
    """Four bytes a weight, from the first step that counts on."""

    def __init__(self, model: nn.Module, share: float) -> None:
        """share: of a run's steps, the last of which count; 0 for none, which costs nothing."""
        self._model = model
        self._share = share
        self._mean: dict[str, Tensor] = {}
        self._steps = 0

    def add(self, step: int, steps: int) -> None:
        """Counts the weights as they are after `step` of so many steps, if it is one of the last."""
        if step <= (1 - self._share) * steps:
            return
        self._steps += 1
        for name, weight in local_weights(self._model).items():
            if name in self._mean:
                self._mean[name].lerp_(weight.float(), 1 / self._steps)
            else:
                self._mean[name] = weight.float().clone()

    def write(self) -> None:
        """Gives the model the mean in place of its weights, if any step has counted."""
        for name, weight in local_weights(self._model).items():
            if name in self._mean:
                weight.copy_(self._mean[name])

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint holds of it; with `shard`, of this rank's part of the weights."""
        return {"steps": self._steps, "mean": self._mean}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state_dict` returned."""
        self._steps = int(state["steps"])
        mean: Mapping[str, Tensor] = state["mean"]
        weights = local_weights(self._model)
        self._mean = {name: part.to(weights[name].device) for name, part in mean.items()}
