"""Sharded training by torch's FSDP2, for models that do not fit on one device.

    torchrun --nproc-per-node 8 trainer/run.py … training.shard=true

Every rank holds some rows of each weight, of its gradient and of the optimiser's state (`gems/layer/sharded.py`).
A block's weights are gathered while the block computes, forward and backward, so a device holds one complete block at a
time. Gathering is a collective, so all ranks must run the same number of passes in the same order: `data/batches.py`
gives them equally many micro-batches.

Two things are not sharded. At the start each rank reads the complete checkpoint into main memory. At the end rank 0
gathers the tuned weights in main memory, evaluates them and publishes them as a plain checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard, register_fsdp_forward_method

from trainer.config.recipe import Recipe
from trainer.core.errors import SettingsError
from trainer.distributed.dtensor import full_tensor
from trainer.distributed.group import CPU, ProcessGroup

__all__ = [
    "SHARDABLE_METHODS",
    "call_gathered",
    "check_sharding",
    "evaluation_device",
    "gather_weights",
    "global_mean_loss",
    "shard_model",
]

T = TypeVar("T")

SHARDABLE_METHODS = ("gems", "single_subspace")


def check_sharding(recipe: Recipe, group: ProcessGroup) -> None:
    """Raises SettingsError if the recipe sets `training.shard` and this run cannot shard."""
    if not recipe.training.shard:
        return
    if recipe.method not in SHARDABLE_METHODS:
        raise SettingsError(
            f"training.shard is on, but method={recipe.method} keeps whole weights in every process: "
            f"turn it off, or take one of {', '.join(SHARDABLE_METHODS)}"
        )
    if group.world_size == 1:
        raise SettingsError(
            "training.shard divides the weights among processes, but there is one: start the run by "
            "torchrun --nproc-per-node N, or turn it off"
        )


def shard_model(model: nn.Module, group: ProcessGroup) -> None:
    """Splits the weights of a model by rows among the ranks of the group, and moves each part to its rank's device.

    All ranks must hold the same weights beforehand. Blocks are gathered one at a time; embeddings, head and last norm
    are gathered for the whole forward pass. Gradients are summed over the ranks in float32 and not averaged.
    """
    mesh = init_device_mesh(group.device.type, (group.world_size,))
    policy = MixedPrecisionPolicy(reduce_dtype=torch.float32)
    model.call_gathered = lambda function, *args: function(model, *args)  # type: ignore[assignment]
    for module in (*_blocks(model), model):
        sharded = fully_shard(module, mesh=mesh, reshard_after_forward=True, mp_policy=policy)
        sharded.set_gradient_divide_factor(1.0)
        sharded.set_force_sum_reduction_for_comms(True)
    register_fsdp_forward_method(model, "call_gathered")


def call_gathered(model: nn.Module, function: Callable[..., T], *args: Any) -> T:
    """Returns `function(model, *args)`.

    A sharded model runs it as its forward pass, so that the weights outside of its blocks are gathered meanwhile.
    """
    if isinstance(model, FSDPModule):
        result: T = model.call_gathered(function, *args)  # type: ignore[operator]
        return result
    return function(model, *args)


def global_mean_loss(loss: Tensor, tokens: int, shard_group: ProcessGroup) -> tuple[Tensor, Tensor, int]:
    """Turns a rank's mean loss into its part of the mean over all ranks.

    loss: the mean over the rank's own target tokens, a scalar.
    tokens: how many those are; a rank may have none.
    shard_group: the ranks that share the micro-batch.

    Returns three values: the part that this rank sends backward, where all ranks' parts add up to the mean; the mean
    itself, detached; and the number of target tokens of all ranks together.
    """
    if shard_group.world_size == 1:
        return loss, loss.detach(), tokens
    total_tokens = round(shard_group.all_reduce_numbers([tokens])[0])
    part = loss * (tokens / total_tokens)
    mean = part.detach().clone()
    shard_group.all_reduce([mean])
    return part, mean, total_tokens


def gather_weights(model: nn.Module, group: ProcessGroup) -> dict[str, Tensor]:
    """The complete weights by name, in main memory, on rank 0; an empty dictionary on other ranks.

    Tied weights are there once. All ranks must call this together.
    """
    weights = {}
    for name, weight in model.named_parameters():
        gathered = full_tensor(weight.detach())
        if group.rank == 0:
            weights[name] = gathered.to(CPU, copy=True)
    return weights


def evaluation_device(weights: Mapping[str, Tensor], device: torch.device) -> torch.device:
    """Where to evaluate the complete weights: on `device`, or on the CPU if they do not fit.

    On a GPU they need their own size, and half as much again for activations.
    """
    needed = 1.5 * sum(weight.numel() * weight.element_size() for weight in weights.values())
    if device.type == "cuda" and torch.cuda.mem_get_info(device)[0] < needed:
        return CPU
    return device


def _blocks(module: nn.Module) -> Iterator[nn.Module]:
    """The members of the outermost module lists: the layers of a decoder, or of an encoder and a decoder."""
    for child in module.children():
        if isinstance(child, nn.ModuleList):
            yield from child
        else:
            yield from _blocks(child)
