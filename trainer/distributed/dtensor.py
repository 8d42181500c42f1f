"""Access to tensors that FSDP2 may have sharded (`DTensor`), alike for sharded and for plain ones."""

from __future__ import annotations

from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from trainer.distributed.group import ProcessGroup
from trainer.distributed.shard_range import ShardRange

__all__ = ["full_tensor", "local_rows", "local_tensor", "local_weights"]


def local_tensor(tensor: Tensor) -> Tensor:
    """The rows of a tensor that this rank holds, detached and in the same memory. Of a plain tensor these are all."""
    return tensor.to_local().detach() if isinstance(tensor, DTensor) else tensor.detach()


def local_weights(model: nn.Module) -> dict[str, Tensor]:
    """The same of all weights of a model, by their names; tied ones once."""
    return {name: local_tensor(weight) for name, weight in model.named_parameters()}


def full_tensor(tensor: Tensor) -> Tensor:
    """All rows of a tensor. They are gathered if it is sharded, so all ranks must call this together."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def local_rows(weight: Tensor, shard_group: ProcessGroup) -> ShardRange:
    """Which rows of a weight this rank holds.

    shard_group: the ranks among which a sharded weight is split.
    """
    rows = weight.shape[0]
    return ShardRange.split(rows, shard_group) if isinstance(weight, DTensor) else ShardRange.full(rows)
