"""The training loop: draw a batch, send its two halves backward, make one step; save now and then."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from catalog.text.prompts import TASKS
from trainer.config.recipe import TrainingRecipe
from trainer.core.errors import TrainerError
from trainer.core.progress import progress
from trainer.data.batches import Batches, TaskBatch, half_loss
from trainer.distributed.dtensor import local
from trainer.distributed.fsdp import apply
from trainer.distributed.group import ALONE, ProcessGroup
from trainer.methods.protocol import Method, StepResult
from trainer.model.backbone import Backbone, dropout
from trainer.runtime.checkpoint import load_checkpoint, other_number, save_checkpoint
from trainer.runtime.step_log import TrainingRecord

SKIPS_ALLOWED = 10  # steps in a row that may be not finite


def train(
    backbone: Backbone,
    method: Method,
    batches: Batches,
    level_tokens: Sequence[torch.Tensor],
    recipe: TrainingRecipe,
    checkpoint: Path,
    record: Path,
    *,
    seed: int,
    processes: ProcessGroup = ALONE,
) -> None:
    """Trains to the last step, from the checkpoint on where there is one; `record` gets a line for every step.

    Dropout masks differ from process to process, so with dropout the number of processes matters as a seed does.
    Raises TrainerError when the loss stops being finite; the checkpoint then still holds the last sound state.
    """
    torch.manual_seed(seed + processes.rank)
    shards = processes if recipe.shard else ALONE
    start = _resume(checkpoint, backbone, method, processes, shards)
    if shards.world == 1:
        processes.copy_first_([weight.detach() for weight in backbone.model.parameters()])
    backbone.model.train()
    skipped = 0
    keeping = TrainingRecord(record, start=start) if processes.rank == 0 else nullcontext()
    showing = progress("training", recipe.steps, start=start)
    with dropout(backbone.model, recipe.dropout), showing as shown, keeping as kept:
        for step in range(start, recipe.steps):
            losses, result = _step(backbone, method, list(batches.halves(step)), level_tokens, recipe, processes, step)
            skipped = 0 if result.applied else skipped + 1
            if skipped > SKIPS_ALLOWED:
                raise TrainerError(
                    f"the loss was not finite for {skipped} steps up to step {step}: lower the learning rate "
                    "(gems.lr and gems.adamw_lr; the other methods' own are full.lr, lora.lr, lora_moe.lr); "
                    f"the last sound state is in {checkpoint}"
                )
            shown.advance(1, **losses, **result.figures)
            if kept is not None:
                kept.add(step, losses, result.figures)
            if (step + 1) % recipe.checkpoint_every == 0 or step + 1 == recipe.steps:
                if kept is not None:
                    kept.flush()
                _save(checkpoint, backbone, method, step + 1, processes, shards)
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
    halves: list[list[TaskBatch]],
    level_tokens: Sequence[torch.Tensor],
    recipe: TrainingRecipe,
    processes: ProcessGroup,
    step: int,
) -> tuple[dict[str, float], StepResult]:
    """Also the tasks' mean losses over the whole batch, of which `halves` are this process's share."""
    parts = [half for half_parts in halves for half in half_parts]
    tokens = processes.sum_numbers([sum(half.tokens for half in parts if half.task == task) for task in TASKS])
    summed = dict.fromkeys(TASKS, 0.0)
    for half in parts:
        loss = apply(backbone.model, half_loss, half.to(backbone.model.device), level_tokens, recipe)
        method.backward(loss, half.task, tokens=half.tokens, batch_tokens=round(sum(tokens)))
        summed[half.task] += float(loss.detach()) * half.tokens
    sums = processes.sum_numbers([summed[task] for task in TASKS])
    losses: dict[str, float] = {
        task: total / count for task, total, count in zip(TASKS, sums, tokens, strict=True) if count
    }
    return losses, method.step(learning_rate_share(step, recipe))


def _save(
    directory: Path,
    backbone: Backbone,
    method: Method,
    step: int,
    processes: ProcessGroup,
    shards: ProcessGroup = ALONE,
) -> None:
    """Process 0's state, which is everybody's, or with several `shards` each one's own."""
    weights = {name: local(weight) for name, weight in backbone.model.named_parameters()}  # tied ones once
    state: dict[str, Any] = {
        "step": step,
        "weights": weights,
        "method": method.state_dict(),
        "random": processes.gather(torch.get_rng_state()),
    }
    if torch.cuda.is_available():
        state["cuda_random"] = processes.gather(torch.cuda.get_rng_state())
    if shards.world > 1:
        save_checkpoint(directory, state, shards)
    else:
        processes.once(lambda: save_checkpoint(directory, state))


def _resume(
    directory: Path, backbone: Backbone, method: Method, processes: ProcessGroup, shards: ProcessGroup = ALONE
) -> int:
    """The step to go on at. Raises CheckpointError for a checkpoint of another number of processes."""
    state = processes.first(lambda: load_checkpoint(directory, shards))
    if state is None:
        return 0
    saved = len(state["random"])
    if saved != processes.world:
        raise other_number(directory, saved, processes.world)
    with torch.no_grad():
        for name, parameter in backbone.model.named_parameters():
            local(parameter).copy_(state["weights"][name])
    method.load_state_dict(state["method"])
    torch.set_rng_state(state["random"][processes.rank])
    if "cuda_random" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda_random"][processes.rank])
    return int(state["step"])
