"""Full fine-tuning with AdamW: every weight moves, both tasks share one gradient."""

from __future__ import annotations

from typing import Any

import torch
from transformers import PreTrainedModel

from catalog.prompts import Task
from trainer.methods.protocol import StepResult
from trainer.recipe import FullRecipe


class FullTuning:
    def __init__(self, model: PreTrainedModel, recipe: FullRecipe) -> None:
        self._parameters = [p for p in model.parameters() if p.requires_grad]
        self._recipe = recipe
        self._optimizer = torch.optim.AdamW(
            self._parameters, lr=recipe.lr, weight_decay=recipe.weight_decay, foreach=True
        )

    def backward(self, loss: torch.Tensor, task: Task, *, tokens: int, batch_tokens: int) -> None:
        torch.autograd.backward(loss * (tokens / batch_tokens))

    def step(self, lr_share: float) -> StepResult:
        norm = torch.nn.utils.clip_grad_norm_(self._parameters, self._recipe.clip, foreach=True)
        applied = bool(torch.isfinite(norm))
        if applied:
            for group in self._optimizer.param_groups:
                group["lr"] = self._recipe.lr * lr_share
            self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return StepResult(applied, {})

    def state_dict(self) -> dict[str, Any]:
        return self._optimizer.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._optimizer.load_state_dict(state)
