"""The ranks of a training run and their collectives, in the terms of `torch.distributed`.

    torchrun --nproc-per-node 2 trainer/run.py …

By default training is data parallel: every rank holds the same weights and trains on its slice of each batch, the
accumulated gradients are summed over the ranks, and all ranks make the same step. A run therefore ends in the weights
that a single process reaches, up to the rounding of floating-point sums. With `training.shard=true` every rank holds
only some rows of each weight (fsdp.py). What rank 0 prepares gets to ranks that do not see its disk (disks.py).

`torch.distributed` needs an initialised group even for one process. `ProcessGroup` makes every collective a no-op
there, so that the code which calls it is written once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, distributed

from trainer.core.errors import TrainerError
from trainer.distributed.disks import ONE_DISK, Disks, find_disks
from trainer.distributed.heartbeats import SILENCE, heartbeats

__all__ = ["SINGLE_PROCESS", "ProcessGroup", "init_process_group"]

T = TypeVar("T")

TIMEOUT = timedelta(days=2)  # rank 0 may pretrain or evaluate for hours while the others wait for it
CPU = torch.device("cpu")
MAX_BUCKET_ELEMENTS = 1 << 24  # tensors are reduced in buckets: many small messages cost more than the copy


@dataclass(frozen=True, slots=True)
class ProcessGroup:
    """The ranks that work together. All of them must call the same methods in the same order.

    rank: the number of this process, from 0.
    world_size: how many ranks there are.
    disks: where their files are: on one disk, unless `with_disks` has found several.
    """

    rank: int = 0
    world_size: int = 1
    disks: Disks = ONE_DISK

    @property
    def device(self) -> torch.device:
        """The device on which this rank keeps its model."""
        return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else CPU

    def with_disks(self, folder: Path) -> ProcessGroup:
        """The same ranks, with the disks on which they see the folder. It exists on all of them."""
        return self if self.world_size == 1 else replace(self, disks=find_disks(folder, TIMEOUT))

    def local_slice(self, values: Sequence[T]) -> Sequence[T]:
        """This rank's slice of the values: every `world_size`-th one, from number `rank` on.

        The slices of all ranks are disjoint and together hold everything. Nothing is sent, so all ranks must pass the
        same values.
        """
        return values[self.rank :: self.world_size]

    def all_reduce(self, tensors: Sequence[Tensor]) -> None:
        """Replaces every tensor by its sum over the ranks, in place. All ranks get the same bits."""
        if self.world_size == 1:
            return
        for bucket in _buckets(tensors):
            flat = torch.cat([tensor.flatten() for tensor in bucket]) if len(bucket) > 1 else bucket[0].contiguous()
            distributed.all_reduce(flat)
            for tensor, part in zip(bucket, torch.split(flat.flatten(), [t.numel() for t in bucket]), strict=True):
                tensor.copy_(part.view(tensor.shape))

    def all_reduce_numbers(self, numbers: Sequence[float]) -> list[float]:
        """The sum of every number over the ranks, computed in float64."""
        if self.world_size == 1:
            return list(numbers)
        total = torch.tensor(numbers, dtype=torch.float64)
        distributed.all_reduce(total)
        return [float(number) for number in total]

    def all_reduce_any(self, flags: Sequence[bool]) -> list[bool]:
        """For every flag, whether it is set on any rank."""
        return [count > 0 for count in self.all_reduce_numbers([float(flag) for flag in flags])]

    def broadcast(self, tensors: Sequence[Tensor]) -> None:
        """Replaces every tensor by rank 0's, in place."""
        if self.world_size == 1:
            return
        for tensor in tensors:
            contiguous = tensor.contiguous()
            distributed.broadcast(contiguous, src=0)
            tensor.copy_(contiguous)

    def all_gather(self, part: Tensor, size: int) -> Tensor:
        """The tensor [size, …] that was split along its first dimension, from the ranks' parts in their order.

        All parts have ceil(size / world_size) rows, except that the last ones may be shorter or empty.
        """
        if self.world_size == 1:
            return part
        rows = -(-size // self.world_size)
        padded = part.new_zeros(rows, *part.shape[1:])
        padded[: len(part)] = part
        gathered = part.new_empty(rows * self.world_size, *part.shape[1:])
        distributed.all_gather_single(gathered, padded)
        return gathered[:size]

    def all_gather_object(self, value: T) -> list[T]:
        """The values of all ranks, in the order of the ranks."""
        if self.world_size == 1:
            return [value]
        values: list[T | None] = [None] * self.world_size
        distributed.all_gather_object(values, value)
        return values  # type: ignore[return-value]  # every entry has been filled

    def on_rank0(self, make: Callable[[], T]) -> T:
        """Rank 0 calls `make`; all ranks wait for it and return its result.

        The result is pickled and sent, so it should be small.

        Where `make` fails on rank 0, the other ranks raise TrainerError with the same message.
        """
        if self.world_size == 1:
            return make()
        outcome: list[tuple[T | None, str | None]] = [(None, None)]
        if self.rank == 0:
            try:
                outcome = [(make(), None)]
            except BaseException as error:
                distributed.broadcast_object_list([(None, str(error) or type(error).__name__)], device=CPU)
                raise
        distributed.broadcast_object_list(outcome, src=0, device=CPU)
        value, fault = outcome[0]
        if fault is not None:
            raise TrainerError(f"process {self.rank} stops because process 0 failed: {fault}")
        return value  # type: ignore[return-value]  # without a fault it is what `make` returned

    def on_every_rank(self, make: Callable[[], T]) -> T:
        """All ranks call `make` and wait for each other; each returns its own result.

        Where `make` fails on a rank, those on which it does not raise TrainerError with its message.
        """
        try:
            made = make()
        except Exception as error:
            self.all_gather_object(str(error) or type(error).__name__)
            raise
        for rank, fault in enumerate(self.all_gather_object("")):
            if fault:
                raise TrainerError(f"process {self.rank} stops because process {rank} failed: {fault}")
        return made

    def rank0_first(self, make: Callable[[], T], wrote: Path | None = None) -> T:
        """Rank 0 calls `make`, and then all other ranks do. They find on disk what rank 0 has written.

        wrote: the folder to which `make` writes, which then holds the same on every disk.

        Where `make` fails on rank 0, the other ranks raise TrainerError with the same message.
        """
        made: list[T] = []
        self.on_rank0(lambda: made.append(make()))
        if wrote is not None:
            self.disks.mirror(wrote)
        return made[0] if made else make()

    def barrier(self) -> None:
        """Waits until all ranks have called this."""
        self.all_reduce_numbers([0.0])


SINGLE_PROCESS = ProcessGroup()


@contextmanager
def init_process_group(silence: float = SILENCE) -> Iterator[ProcessGroup]:
    """A context with the group that torchrun's environment variables describe; without torchrun, SINGLE_PROCESS.

    Inside the context only rank 0 prints. Tensors on CPUs are sent by gloo, those on GPUs by nccl.

    silence: after how many seconds in which another rank was not heard of the process ends (heartbeats.py).

    Raises TrainerError if there are more processes than GPUs, or if several GPUs are there and torch lacks nccl.
    """
    local_rank, world_size = int(os.environ.get("LOCAL_RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    if world_size == 1:
        yield SINGLE_PROCESS
        return
    backend = _select_backend(local_rank, int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    distributed.init_process_group(backend, timeout=TIMEOUT)
    try:
        group = ProcessGroup(distributed.get_rank(), world_size)
        with heartbeats(group.rank, world_size, silence), _mute(group.rank > 0):
            yield group
    finally:
        distributed.destroy_process_group()


def _select_backend(local_rank: int, local_world_size: int) -> str:
    """The back end for this machine's devices. It makes GPU number `local_rank` this process's current device."""
    if not torch.cuda.is_available():
        return "gloo"
    if local_world_size > torch.cuda.device_count():
        raise TrainerError(
            f"torchrun started {local_world_size} processes here, but there are {torch.cuda.device_count()} GPUs: "
            "lower --nproc-per-node, or set CUDA_VISIBLE_DEVICES= to train on CPUs"
        )
    if not distributed.is_nccl_available():
        raise TrainerError("this torch has no nccl, which several GPUs need: install one with it, or use one process")
    torch.cuda.set_device(local_rank)
    return "cpu:gloo,cuda:nccl"


@contextmanager
def _mute(wanted: bool) -> Iterator[None]:
    with ExitStack() as stack:
        if wanted:
            devnull = stack.enter_context(Path(os.devnull).open("w", encoding="utf-8"))
            stack.enter_context(redirect_stdout(devnull))
            stack.enter_context(redirect_stderr(devnull))
        yield
        sys.stdout.flush()


def _buckets(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Groups of consecutive tensors of one type and device.

    A group has at most MAX_BUCKET_ELEMENTS elements in all, unless it is a single larger tensor.
    """
    bucket: list[Tensor] = []
    for tensor in tensors:
        alike = bool(bucket) and (bucket[0].dtype, bucket[0].device) == (tensor.dtype, tensor.device)
        if bucket and (not alike or sum(t.numel() for t in bucket) + tensor.numel() > MAX_BUCKET_ELEMENTS):
            yield bucket
            bucket = []
        bucket.append(tensor)
    if bucket:
        yield bucket
