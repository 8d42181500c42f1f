"""The processes of one run, and all that they say to each other. Without torchrun there is one, and nothing is sent.

    torchrun --nproc-per-node 2 trainer/run.py …

Data parallel: all processes hold the same weights, each takes its share of every batch's sequences, what the backward
passes left is summed, and all make the same step. So a run ends in the weights that one process reaches, up to how
sums of floats round. With `training.shard=true` each holds a part of every weight only (fsdp.py), and the rest of
this is the same. The processes share the run's folders: one machine, or one file system.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, distributed

from trainer.core.errors import TrainerError

__all__ = ["ALONE", "ProcessGroup", "join_processes"]

T = TypeVar("T")

PATIENCE = timedelta(days=2)  # process 0 may pretrain or evaluate for hours while the others wait for it
CPU = torch.device("cpu")
BUCKET = 1 << 24  # numbers summed in one message: many small messages cost more than the copy


@dataclass(frozen=True, slots=True)
class ProcessGroup:
    """This process's number, of how many. All of them must call the same methods in the same order."""

    rank: int = 0
    world: int = 1

    @property
    def device(self) -> torch.device:
        """Where this process's model belongs."""
        return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else CPU

    def share_of(self, values: Sequence[T]) -> Sequence[T]:
        """This process's part of what all have: disjoint, together everything, every `world`-th one. Sends nothing."""
        return values[self.rank :: self.world]

    def sum_(self, tensors: Sequence[Tensor]) -> None:
        """Replaces every tensor by its sum over the processes, the same bits in each."""
        if self.world == 1:
            return
        for bucket in _buckets(tensors):
            flat = torch.cat([tensor.flatten() for tensor in bucket]) if len(bucket) > 1 else bucket[0].contiguous()
            distributed.all_reduce(flat)
            for tensor, part in zip(bucket, torch.split(flat.flatten(), [t.numel() for t in bucket]), strict=True):
                tensor.copy_(part.view(tensor.shape))

    def sum_numbers(self, numbers: Sequence[float]) -> list[float]:
        """Their sums over the processes, in float64."""
        if self.world == 1:
            return list(numbers)
        total = torch.tensor(numbers, dtype=torch.float64)
        distributed.all_reduce(total)
        return [float(number) for number in total]

    def any(self, flags: Sequence[bool]) -> list[bool]:
        """Of each flag, whether it is set in some process."""
        return [count > 0 for count in self.sum_numbers([float(flag) for flag in flags])]

    def copy_first_(self, tensors: Sequence[Tensor]) -> None:
        """Replaces every tensor by process 0's."""
        if self.world == 1:
            return
        for tensor in tensors:
            whole = tensor.contiguous()
            distributed.broadcast(whole, src=0)
            tensor.copy_(whole)

    def join(self, part: Tensor, size: int) -> Tensor:
        """The tensor [size, …] that was cut along its first dimension into equal parts, the last shorter or empty."""
        if self.world == 1:
            return part
        most = -(-size // self.world)
        padded = part.new_zeros(most, *part.shape[1:])
        padded[: len(part)] = part
        whole = part.new_empty(most * self.world, *part.shape[1:])
        distributed.all_gather_single(whole, padded)
        return whole[:size]

    def gather(self, value: T) -> list[T]:
        """All processes' values, by number."""
        if self.world == 1:
            return [value]
        values: list[T | None] = [None] * self.world
        distributed.all_gather_object(values, value)
        return values  # type: ignore[return-value]  # every place has been filled

    def once(self, make: Callable[[], T]) -> T:
        """Process 0 calls `make`; all wait for it and get what it returned, which is sent: keep it small.

        Raises TrainerError in the others where it failed in process 0.
        """
        if self.world == 1:
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
        return value  # type: ignore[return-value]  # no fault: `make` returned it

    def wait(self) -> None:
        """Until all are here."""
        self.sum_numbers([0.0])

    def first(self, make: Callable[[], T]) -> T:
        """Process 0 calls `make`, then all others do and find what it left on the disk.

        Raises TrainerError in the others where it failed in process 0.
        """
        made: list[T] = []
        self.once(lambda: made.append(make()))
        return made[0] if made else make()


ALONE = ProcessGroup()


@contextmanager
def join_processes() -> Iterator[ProcessGroup]:
    """Those that torchrun started, by the variables it sets. All but process 0 are silent meanwhile.

    Tensors on CPUs travel by gloo, those on GPUs by nccl. Raises TrainerError for a launch that cannot work.
    """
    local, world = int(os.environ.get("LOCAL_RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield ALONE
        return
    backend = _backend(local, int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    distributed.init_process_group(backend, timeout=PATIENCE)
    try:
        processes = ProcessGroup(distributed.get_rank(), world)
        with _silence(processes.rank > 0):
            yield processes
    finally:
        distributed.destroy_process_group()


def _backend(local: int, here: int) -> str:
    """Also makes GPU number `local` this process's, of the `here` processes on this machine."""
    if not torch.cuda.is_available():
        return "gloo"
    if here > torch.cuda.device_count():
        raise TrainerError(
            f"torchrun started {here} processes here, but there are {torch.cuda.device_count()} GPUs: "
            "lower --nproc-per-node, or set CUDA_VISIBLE_DEVICES= to train on CPUs"
        )
    if not distributed.is_nccl_available():
        raise TrainerError("this torch has no nccl, which several GPUs need: install one with it, or use one process")
    torch.cuda.set_device(local)
    return "cpu:gloo,cuda:nccl"


@contextmanager
def _silence(wanted: bool) -> Iterator[None]:
    with ExitStack() as stack:
        if wanted:
            nowhere = stack.enter_context(Path(os.devnull).open("w", encoding="utf-8"))
            stack.enter_context(redirect_stdout(nowhere))
            stack.enter_context(redirect_stderr(nowhere))
        yield
        sys.stdout.flush()


def _buckets(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Runs of tensors of one type and device, of up to BUCKET numbers together."""
    bucket: list[Tensor] = []
    for tensor in tensors:
        alike = bool(bucket) and (bucket[0].dtype, bucket[0].device) == (tensor.dtype, tensor.device)
        if bucket and (not alike or sum(t.numel() for t in bucket) + tensor.numel() > BUCKET):
            yield bucket
            bucket = []
        bucket.append(tensor)
    if bucket:
        yield bucket
