"""AdamW for the training loop: torch's for most weights, and GEMS's own for those that GEMS does not project.

GEMS's own is also for bfloat16 weights. torch's would round every update to bfloat16, which loses those of usual
learning rates, and keep moments in bfloat16, where a second moment no longer decays: 0.999 of it rounds to itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from catalog.text.prompts import Task
from trainer.config.gems import GemsConfig
from trainer.config.recipe import AdamWRecipe
from trainer.distributed.group import SINGLE_PROCESS, ProcessGroup
from trainer.gems.accumulate import all_reduce_accumulators
from trainer.gems.adam import AdamSettings, PlainWeight
from trainer.gems.state import check_names
from trainer.methods.protocol import StepResult

CLIP_EPS = 1e-6  # as in torch's clipping


class AdamWTuning:
    """Trains by the gradient of the whole batch, in which both tasks are summed, clipped by its norm over all weights.

    parameters: the weights that the method trains, by name. torch's AdamW updates them, but for bfloat16 ones.
    recipe: the settings of their AdamW, and the norm at which all gradients are clipped.
    plain: norms, biases and the trained rows of the vocabulary, which are updated exactly as by GemsOptimizer.
    config: the settings of GEMS, with which `plain` is updated.
    group: the ranks that share each batch. Their gradients are summed, and all make the same step.
    """

    unservable_reason: str | None = None

    def __init__(
        self,
        parameters: Mapping[str, nn.Parameter],
        recipe: AdamWRecipe,
        plain: Sequence[PlainWeight] = (),
        config: GemsConfig | None = None,
        group: ProcessGroup = SINGLE_PROCESS,
    ) -> None:
        self._group = group
        self._parameters, self._recipe = list(parameters.values()), recipe
        self._bfloat16 = [
            PlainWeight(name, weight) for name, weight in parameters.items() if weight.dtype == torch.bfloat16
        ]
        self._plain, self._config = plain, config or GemsConfig()
        others = [weight for weight in self._parameters if weight.dtype != torch.bfloat16]
        self._optimizer = torch.optim.AdamW(
            [{"params": others}], lr=recipe.lr, weight_decay=recipe.weight_decay, foreach=True
        )
        self._losses: list[Tensor] = []  # of the batch so far

    def backward(self, loss: Tensor, task: Task, *, tokens: int, batch_tokens: int) -> None:
        self._losses.append(loss.detach().float())
        torch.autograd.backward(loss * (tokens / batch_tokens))

    def step(self, lr_share: float) -> StepResult:
        for weight in self._plain:
            weight.accumulate(tokens=1)  # the losses are weighted by their tokens already
        self._all_reduce_gradients()
        norm = get_total_norm(self._gradients(), foreach=True)
        fault = not torch.stack([norm.float(), *self._losses]).isfinite().all()
        applied = not self._group.all_reduce_any([bool(fault)])[0]
        if applied:
            self._update(norm, lr_share)
        self._discard()
        return StepResult(applied, {})

    def finish(self) -> None:
        """Does nothing: the tuned model is a plain one already."""

    def state_dict(self) -> dict[str, Any]:
        return {
            "adamw": self._optimizer.state_dict(),
            "bfloat16": {weight.name: weight.state_dict() for weight in self._bfloat16},
            "plain": {weight.name: weight.state_dict() for weight in self._plain},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        check_names(state["bfloat16"], [weight.name for weight in self._bfloat16], "bfloat16 weights")
        check_names(state["plain"], [weight.name for weight in self._plain], "weights beside the adapters")
        self._optimizer.load_state_dict(state["adamw"])
        for kind, weights in (("bfloat16", self._bfloat16), ("plain", self._plain)):
            for weight in weights:
                weight.load_state_dict(state[kind][weight.name])

    def _all_reduce_gradients(self) -> None:
        if self._group.world_size == 1:
            return
        present = self._group.all_reduce_any([weight.grad is not None for weight in self._parameters])
        for weight, elsewhere in zip(self._parameters, present, strict=True):
            if elsewhere and weight.grad is None:
                weight.grad = torch.zeros_like(weight)
        self._group.all_reduce([weight.grad for weight in self._parameters if weight.grad is not None])
        all_reduce_accumulators(self._plain, self._group)

    def _gradients(self) -> list[Tensor]:
        own = [weight.grad for weight in self._parameters if weight.grad is not None]
        return own + [weight.gradient for weight in self._plain if weight.gradient is not None]

    def _update(self, norm: Tensor, lr_share: float) -> None:
        clip_grads_with_norm_(self._parameters, self._recipe.clip, norm, foreach=True)
        for group in self._optimizer.param_groups:
            group["lr"] = self._recipe.lr * lr_share
        self._optimizer.step()
        for weight in self._bfloat16:  # one at a time, as its gradient becomes float32
            weight.accumulate(tokens=1)
            lr = self._recipe.lr * lr_share
            weight.update(lr=lr, adam=AdamSettings(), weight_decay=self._recipe.weight_decay, factor=1.0)
        config, factor = self._config, min(1.0, self._recipe.clip / (float(norm) + CLIP_EPS))
        for weight in self._plain:
            weight.update(
                lr=config.adamw_lr * lr_share,
                adam=AdamSettings(config.betas, config.eps),
                weight_decay=config.weight_decay if weight.weight.ndim >= 2 else 0.0,
                factor=factor,
            )

    def _discard(self) -> None:
        self._losses = []
        for parameter in self._parameters:
            parameter.grad = None
        for weight in self._plain:
            weight.discard()
