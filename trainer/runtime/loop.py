"""The training loop: draws a batch, sends the losses of both tasks backward, makes a step, and saves now and then."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from catalog.text.prompts import TASKS
from trainer.config.recipe import TrainingRecipe
from trainer.core.errors import CheckpointError, TrainerError
from trainer.core.progress import print_line, progress
from trainer.data.batches import Batches, TaskBatch, task_loss
from trainer.distributed.dtensor import local_weights
from trainer.distributed.fsdp import call_gathered
from trainer.distributed.group import SINGLE_PROCESS, ProcessGroup
from trainer.methods.protocol import Method, StepResult
from trainer.model.backbone import Backbone, dropout
from trainer.model.weight_average import WeightAverage
from trainer.runtime.checkpoint import load_checkpoint, save_checkpoint, world_size_mismatch
from trainer.runtime.schedule import Schedule
from trainer.runtime.step_log import StepLog, StepRecord

MAX_SKIPPED_STEPS = 10  # in a row, because a loss or gradient is not finite


def train(
    backbone: Backbone,
    method: Method,
    batches: Batches,
    level_tokens: Sequence[torch.Tensor],
    recipe: TrainingRecipe,
    checkpoint: Path,
    step_log: Path,
    *,
    seed: int,
    group: ProcessGroup = SINGLE_PROCESS,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Trains the backbone's model up to the last step, from the checkpoint if there is one.

    method: turns losses into updates of the weights.
    batches: draws the batch of every step.
    level_tokens: the vocabulary ids of every level's codes, int64.
    recipe: the number of steps or minutes, the learning rate's course, dropout, and how often the state is saved.
    checkpoint: the folder in which the state is saved.
    step_log: the file that gets a line for every step.
    seed: what dropout is drawn from.
    group: the ranks that share each batch. Their dropout masks differ, so with dropout the result depends on the number
        of ranks as it does on the seed.
    clock: the time in seconds, by which steps are timed. With `recipe.minutes` all ranks heed that of rank 0.

    Raises TrainerError if losses or gradients are not finite for more than MAX_SKIPPED_STEPS steps in a row. The
    checkpoint then still holds the last sound state.
    """
    torch.manual_seed(seed + group.rank)
    shard_group = group if recipe.shard else SINGLE_PROCESS
    schedule = Schedule(recipe)
    average = WeightAverage(backbone.model, recipe.average)
    start = _resume(checkpoint, backbone, method, schedule, average, group, shard_group)
    if not recipe.shard:
        group.broadcast([weight.detach() for weight in backbone.model.parameters()])
    backbone.model.train()
    step, skipped = start, 0
    opened_log = StepLog(step_log, start=start) if group.rank == 0 else nullcontext()
    opened_progress = progress("training", schedule.steps, start=start)
    with dropout(backbone.model, recipe.dropout), opened_progress as shown, opened_log as log:
        while step < schedule.steps:
            began = clock()
            task_batches = list(batches.micro_batches(step))
            losses, tokens, result = _step(
                backbone, method, task_batches, level_tokens, recipe, group, schedule.learning_rate_share(step), step
            )
            skipped = 0 if result.applied else skipped + 1
            if skipped > MAX_SKIPPED_STEPS:
                raise TrainerError(
                    f"the loss was not finite for {skipped} steps up to step {step}: lower the learning rate "
                    "(gems.lr and gems.adamw_lr; the other methods' own are full.lr, lora.lr, lora_moe.lr); "
                    f"the last sound state is in {checkpoint}"
                )
            record = StepRecord(step, losses, result.figures, tokens, clock() - began)
            if log is not None:
                log.add(record)
            shown.advance(1, **losses, **result.figures, **record.speed)
            step += 1
            was = schedule.steps
            average.add(step, schedule.steps)
            planned = schedule.timing and schedule.add_step(_of_rank0(record.seconds, group))
            if schedule.steps != was:
                shown.end_at(schedule.steps)
                print_line(f"{recipe.minutes:g} minutes are enough for {schedule.steps} of {recipe.steps} steps")
            if planned or step % recipe.checkpoint_every == 0 or step == schedule.steps:
                if log is not None:
                    log.flush()
                _save(checkpoint, backbone, method, schedule, average, step, group, shard_group)
    average.write()
    backbone.model.eval()


def _step(
    backbone: Backbone,
    method: Method,
    task_batches: list[list[TaskBatch]],
    level_tokens: Sequence[torch.Tensor],
    recipe: TrainingRecipe,
    group: ProcessGroup,
    learning_rate_share: float,
    step: int,
) -> tuple[dict[str, float], int, StepResult]:
    """Makes one step on this rank's slice of the batch.

    Returns also each task's mean loss and the number of tokens that the model read, over all ranks.
    """
    parts = [part for task_parts in task_batches for part in task_parts]
    tokens = group.all_reduce_numbers([sum(part.tokens for part in parts if part.task == task) for task in TASKS])
    summed = dict.fromkeys(TASKS, 0.0)
    for part in parts:
        loss = call_gathered(backbone.model, task_loss, part.to(backbone.model.device), level_tokens, recipe)
        method.backward(loss, part.task, tokens=part.tokens, batch_tokens=round(sum(tokens)))
        summed[part.task] += float(loss.detach()) * part.tokens
    *sums, read = group.all_reduce_numbers(
        [*(summed[task] for task in TASKS), float(sum(part.input_tokens for part in parts))]
    )
    losses: dict[str, float] = {
        task: total / count for task, total, count in zip(TASKS, sums, tokens, strict=True) if count
    }
    return losses, round(read), method.step(learning_rate_share)


def _of_rank0(number: float, group: ProcessGroup) -> float:
    """Rank 0's number."""
    return group.all_reduce_numbers([number if group.rank == 0 else 0.0])[0]


def _save(
    directory: Path,
    backbone: Backbone,
    method: Method,
    schedule: Schedule,
    average: WeightAverage,
    step: int,
    group: ProcessGroup,
    shard_group: ProcessGroup = SINGLE_PROCESS,
) -> None:
    """Saves the state: that of rank 0, which all ranks have alike, or with a `shard_group` that of every rank."""
    state: dict[str, Any] = {
        "step": step,
        "weights": local_weights(backbone.model),
        "method": method.state_dict(),
        "schedule": schedule.state_dict(),
        "average": average.state_dict(),
        "random": group.all_gather_object(torch.get_rng_state()),
    }
    if torch.cuda.is_available():
        state["cuda_random"] = group.all_gather_object(torch.cuda.get_rng_state())
    if shard_group.world_size > 1:
        save_checkpoint(directory, state, shard_group)
    else:
        group.on_rank0(lambda: save_checkpoint(directory, state))


def _resume(
    directory: Path,
    backbone: Backbone,
    method: Method,
    schedule: Schedule,
    average: WeightAverage,
    group: ProcessGroup,
    shard_group: ProcessGroup = SINGLE_PROCESS,
) -> int:
    """Loads the checkpoint, if there is one, and returns the step to continue at.

    Raises CheckpointError for a checkpoint of another number of ranks or another version of the trainer.
    """
    state = group.rank0_first(lambda: load_checkpoint(directory, shard_group), directory)
    if state is None:
        return 0
    try:
        saved = len(state["random"])
        if saved != group.world_size:
            raise world_size_mismatch(directory, saved, group.world_size)
        with torch.no_grad():
            for name, weight in local_weights(backbone.model).items():
                weight.copy_(state["weights"][name])
        method.load_state_dict(state["method"])
        schedule.load_state_dict(state["schedule"])
        average.load_state_dict(state["average"])
        torch.set_rng_state(state["random"][group.rank])
        if "cuda_random" in state and torch.cuda.is_available():
            torch.cuda.set_rng_state(state["cuda_random"][group.rank])
        return int(state["step"])
    except KeyError as error:
        raise CheckpointError(
            f"{directory} was saved by another version of the trainer (it has no {error}): "
            "finish the run with that version, or start again without --resume"
        ) from error
