"""Backbones that no single device has room for: every process holds a part of every weight, by torch's FSDP2.

    torchrun --nproc-per-node 8 trainer/run.py … training.shard=true

Each process has its rows of every weight, of its gradient, and of what the optimiser keeps (gems/rows.py). A block's
weights are put together while it computes, forward and backward, so that one whole block at a time is on a device.
Batches are shared as without it. Gathering a block's weights is something all processes do at the same moment, so they
must run as many passes in the same order: batches.py gives them equally many micro-batches.

What is never divided: the checkpoint is read into each process's main memory first, and at the end the tuned weights
are gathered in process 0's, for evaluation and for the bundle, which is the plain checkpoint it is without this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard, register_fsdp_forward_method

from trainer.config.recipe import Recipe
from trainer.core.errors import SettingsError
from trainer.distributed.dtensor import whole
from trainer.distributed.group import CPU, ProcessGroup

__all__ = ["SHARDED_METHODS", "apply", "check_sharding", "collect", "evaluation_device", "shard", "share_loss"]

T = TypeVar("T")

SHARDED_METHODS = ("gems", "single_subspace")


def check_sharding(recipe: Recipe, processes: ProcessGroup) -> None:
    """Raises SettingsError where `training.shard` is asked for and cannot be."""
    if not recipe.training.shard:
        return
    if recipe.method not in SHARDED_METHODS:
        raise SettingsError(
            f"training.shard is on, but method={recipe.method} keeps whole weights in every process: "
            f"turn it off, or take one of {', '.join(SHARDED_METHODS)}"
        )
    if processes.world == 1:
        raise SettingsError(
            "training.shard divides the weights among processes, but there is one: start the run by "
            "torchrun --nproc-per-node N, or turn it off"
        )


def shard(model: nn.Module, processes: ProcessGroup) -> None:
    """Divides a model's weights, which all processes hold alike, among them, on each one's device.

    Its blocks are put together one at a time; embeddings, head and last norm with the model itself. Gradients are
    summed, in float32, not averaged.
    """
    mesh = init_device_mesh(processes.device.type, (processes.world,))
    policy = MixedPrecisionPolicy(reduce_dtype=torch.float32)
    model.apply_whole = lambda function, *args: function(model, *args)  # type: ignore[assignment]
    for module in (*_blocks(model), model):
        sharded = fully_shard(module, mesh=mesh, reshard_after_forward=True, mp_policy=policy)
        sharded.set_gradient_divide_factor(1.0)
        sharded.set_force_sum_reduction_for_comms(True)
    register_fsdp_forward_method(model, "apply_whole")


def apply(model: nn.Module, function: Callable[..., T], *args: Any) -> T:
    """function(model, *args), which may use any part of the model: its own weights are whole meanwhile."""
    if isinstance(model, FSDPModule):
        result: T = model.apply_whole(function, *args)  # type: ignore[operator]
        return result
    return function(model, *args)


def share_loss(loss: Tensor, tokens: int, shards: ProcessGroup) -> tuple[Tensor, Tensor, int]:
    """What one process sends backward, the mean loss over all of them, and their target tokens together.

    `loss`: the mean over this process's `tokens`, which may be none. The parts sent backward add up to the mean.
    """
    if shards.world == 1:
        return loss, loss.detach(), tokens
    everyone = round(shards.sum_numbers([tokens])[0])
    part = loss * (tokens / everyone)
    mean = part.detach().clone()
    shards.sum_([mean])
    return part, mean, everyone


def collect(model: nn.Module, processes: ProcessGroup) -> dict[str, Tensor]:
    """The whole weights in main memory, each tied one once, in process 0; empty in the others."""
    weights = {}
    for name, weight in model.named_parameters():
        together = whole(weight.detach())
        if processes.rank == 0:
            weights[name] = together.to(CPU, copy=True)
    return weights


def evaluation_device(weights: dict[str, Tensor], device: torch.device) -> torch.device:
    """`device`, or the CPU where the whole model, and half as much for what it computes, do not fit there any more."""
    needed = 1.5 * sum(weight.numel() * weight.element_size() for weight in weights.values())
    if device.type == "cuda" and torch.cuda.mem_get_info(device)[0] < needed:
        return CPU
    return device


def _blocks(module: nn.Module) -> Iterator[nn.Module]:
    """The members of the outermost lists of modules: the layers of a decoder, or of an encoder and a decoder."""
    for child in module.children():
        if isinstance(child, nn.ModuleList):
            yield from child
        else:
            yield from _blocks(child)
