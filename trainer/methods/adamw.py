"""AdamW in the training loop: on some weights as a whole, and beside them on those that GEMS, too, leaves to AdamW."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from catalog.text.prompts import Task
from trainer.config.gems import GemsConfig
from trainer.config.recipe import AdamWRecipe
from trainer.distributed.group import ALONE, ProcessGroup
from trainer.gems.adam import Adam
from trainer.gems.plain import PlainWeight
from trainer.gems.reduction import sum_accumulators
from trainer.gems.state import check_names
from trainer.methods.protocol import StepResult

CLIP_EPS = 1e-6  # as in torch's clipping


class AdamWTuning:
    """Both tasks share one gradient, the batch's, clipped by its norm over everything that moves.

    parameters: moved by torch's AdamW with the settings of `recipe`. beside: norms, biases and the moving rows of the
    vocabulary, moved with the AdamW settings of `config`, exactly as GemsOptimizer moves them. processes: those whose
    gradients add up to the batch's; all make the same step.
    """

    obstacle: str | None = None

    def __init__(
        self,
        parameters: Sequence[nn.Parameter],
        recipe: AdamWRecipe,
        beside: Sequence[PlainWeight] = (),
        config: GemsConfig | None = None,
        processes: ProcessGroup = ALONE,
    ) -> None:
        self._processes = processes
        self._parameters, self._recipe = list(parameters), recipe
        self._beside, self._config = beside, config or GemsConfig()
        self._optimizer = torch.optim.AdamW(
            self._parameters, lr=recipe.lr, weight_decay=recipe.weight_decay, foreach=True
        )
        self._losses: list[Tensor] = []  # of the batch so far
        self._steps = 0  # applied so far

    def backward(self, loss: Tensor, task: Task, *, tokens: int, batch_tokens: int) -> None:
        self._losses.append(loss.detach().float())
        torch.autograd.backward(loss * (tokens / batch_tokens))

    def step(self, lr_share: float) -> StepResult:
        for weight in self._beside:
            weight.observe(tokens=1)  # the losses were weighed by their tokens already
        self._sum_gradients()
        norm = get_total_norm(self._gradients(), foreach=True)
        fault = not torch.stack([norm.float(), *self._losses]).isfinite().all()
        applied = not self._processes.any([bool(fault)])[0]
        if applied:
            self._apply(norm, lr_share)
            self._steps += 1
        self._forget()
        return StepResult(applied, {})

    def finish(self) -> None:
        """The tuned model is plain already."""

    def state_dict(self) -> dict[str, Any]:
        return {
            "adamw": self._optimizer.state_dict(),
            "beside": {weight.name: weight.state_dict() for weight in self._beside},
            "steps": self._steps,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        check_names(state["beside"], [weight.name for weight in self._beside], "weights beside the adapters")
        self._optimizer.load_state_dict(state["adamw"])
        for weight in self._beside:
            weight.load_state_dict(state["beside"][weight.name])
        self._steps = int(state["steps"])

    def _sum_gradients(self) -> None:
        if self._processes.world == 1:
            return
        seen = self._processes.any([weight.grad is not None for weight in self._parameters])
        for weight, elsewhere in zip(self._parameters, seen, strict=True):
            if elsewhere and weight.grad is None:
                weight.grad = torch.zeros_like(weight)
        self._processes.sum_([weight.grad for weight in self._parameters if weight.grad is not None])
        sum_accumulators(self._beside, self._processes)

    def _gradients(self) -> list[Tensor]:
        own = [weight.grad for weight in self._parameters if weight.grad is not None]
        return own + [weight.gradient for weight in self._beside if weight.gradient is not None]

    def _apply(self, norm: Tensor, lr_share: float) -> None:
        clip_grads_with_norm_(self._parameters, self._recipe.clip, norm, foreach=True)
        for group in self._optimizer.param_groups:
            group["lr"] = self._recipe.lr * lr_share
        self._optimizer.step()
        config, factor = self._config, min(1.0, self._recipe.clip / (float(norm) + CLIP_EPS))
        for weight in self._beside:
            weight.update(
                lr=config.adamw_lr * lr_share,
                adam=Adam(config.betas, config.eps),
                weight_decay=config.weight_decay if weight.weight.ndim >= 2 else 0.0,
                factor=factor,
                seed=config.seed,
                step=self._steps,
            )

    def _forget(self) -> None:
        self._losses = []
        self._optimizer.zero_grad(set_to_none=True)
        for weight in self._beside:
            weight.discard()
