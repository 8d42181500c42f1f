"""Tensors that FSDP2 may have divided among processes (`DTensor`), and plain ones, by the same three functions."""

from __future__ import annotations

from torch import Tensor
from torch.distributed.tensor import DTensor

from trainer.distributed.group import ProcessGroup
from trainer.distributed.shard_range import ShardRange

__all__ = ["local", "rows_here", "whole"]


def local(tensor: Tensor) -> Tensor:
    """What is here of a tensor that may be divided among processes: the same memory."""
    return tensor.to_local().detach() if isinstance(tensor, DTensor) else tensor.detach()


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor that may be divided among processes: then all of them must call it."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def rows_here(weight: Tensor, shards: ProcessGroup) -> ShardRange:
    """Which rows of a weight are here, where `shards` hold those of a divided one."""
    return ShardRange.cut(weight.shape[0], shards) if isinstance(weight, DTensor) else ShardRange.whole(weight.shape[0])
