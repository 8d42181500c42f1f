"""The training loop: draw a batch, send its two halves backward, make one step; save now and then."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from trainer.backbone import Backbone, dropout
from trainer.batches import Batches, Half, half_loss
from trainer.checkpoint import load_checkpoint, save_checkpoint
from trainer.errors import TrainerError
from trainer.methods.protocol import Method, StepResult
from trainer.progress import progress
from trainer.recipe import TrainingRecipe

SKIPS_ALLOWED = 10  # steps in a row that may be not finite


def train(
    backbone: Backbone,
    method: Method,
    batches: Batches,
    level_tokens: Sequence[torch.Tensor],
    recipe: TrainingRecipe,
    checkpoint: Path,
    *,
    seed: int,
) -> None:
    """Trains to the last step, from the checkpoint on where there is one.

    Raises TrainerError when the loss stops being finite; the checkpoint then still holds the last sound state.
    """
    torch.manual_seed(seed)
    start = _resume(checkpoint, backbone, method)
    backbone.model.train()
    skipped = 0
    with dropout(backbone.model, recipe.dropout), progress("training", recipe.steps, start=start) as shown:
        for step in range(start, recipe.steps):
            losses, result = _step(backbone, method, list(batches.halves(step)), level_tokens, recipe, step)
            skipped = 0 if result.applied else skipped + 1
            if skipped > SKIPS_ALLOWED:
                raise TrainerError(
                    f"the loss was not finite for {skipped} steps up to step {step}: lower the learning rate "
                    "(gems.lr and gems.adamw_lr; the other methods' own are full.lr, lora.lr, lora_moe.lr); "
                    f"the last sound state is in {checkpoint}"
                )
            shown.advance(1, **losses, **result.figures)
            if (step + 1) % recipe.checkpoint_every == 0 or step + 1 == recipe.steps:
                _save(checkpoint, backbone, method, step + 1)
    backbone.model.eval()


def learning_rate_share(step: int, recipe: TrainingRecipe) -> float:
    """Of the peak: a linear warm-up, then a cosine down to `final_lr`."""
    warmup = max(1, round(recipe.warmup * recipe.steps))
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, recipe.steps - warmup)
    return recipe.final_lr + (1 - recipe.final_lr) * 0.5 * (1 + math.cos(math.pi * done))


def _step(
    backbone: Backbone,
    method: Method,
    halves: list[list[Half]],
    level_tokens: Sequence[torch.Tensor],
    recipe: TrainingRecipe,
    step: int,
) -> tuple[dict[str, float], StepResult]:
    batch_tokens = sum(half.tokens for half_parts in halves for half in half_parts)
    losses: dict[str, float] = {}
    for half_parts in halves:
        task, tokens, summed = half_parts[0].task, sum(half.tokens for half in half_parts), 0.0
        for half in half_parts:
            loss = half_loss(backbone.model, half.to(backbone.model.device), level_tokens, recipe)
            method.backward(loss, task, tokens=half.tokens, batch_tokens=batch_tokens)
            summed += float(loss.detach()) * half.tokens / tokens
        losses[task] = summed
    return losses, method.step(learning_rate_share(step, recipe))


def _save(directory: Path, backbone: Backbone, method: Method, step: int) -> None:
    weights = dict(backbone.model.named_parameters())  # tied ones once
    state: dict[str, Any] = {
        "step": step,
        "weights": weights,
        "method": method.state_dict(),
        "random": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        state["cuda_random"] = torch.cuda.get_rng_state()
    save_checkpoint(directory, state)


def _resume(directory: Path, backbone: Backbone, method: Method) -> int:
    state = load_checkpoint(directory)
    if state is None:
        return 0
    with torch.no_grad():
        for name, parameter in backbone.model.named_parameters():
            parameter.copy_(state["weights"][name])
    method.load_state_dict(state["method"])
    torch.set_rng_state(state["random"])
    if "cuda_random" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda_random"])
    return int(state["step"])
