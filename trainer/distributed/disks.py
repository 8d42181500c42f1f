"""The disks of a run's ranks: one, or with several nodes one for each of them.

    torchrun --nnodes 2 --node-rank 0 --master-addr A … trainer/run.py …

What rank 0 prepares lies on its disk. Where ranks do not see that disk, its files travel through the process group, so
that nodes need neither a shared file system nor a store. On each disk the lowest of its ranks, the owner, writes.
"""

from __future__ import annotations

import shutil
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, distributed

from catalog.bundle.manifest import sha256_of
from trainer.core.errors import TrainerError

__all__ = ["ONE_DISK", "Disks", "find_disks"]

T = TypeVar("T")

CPU = torch.device("cpu")
CHUNK = 1 << 24
"""Bytes that travel at once."""


@dataclass(frozen=True, slots=True)
class Disks:
    """Who writes to which disk. All ranks must call the same methods in the same order; with one disk they do nothing.

    rank: of this process.
    owners: the lowest rank of each disk, in their order; rank 0 is the first.
    owner: the one of this rank's disk.
    channel: the group of the owners, whose messages gloo sends from main memory; None with one disk.
    """

    rank: int = 0
    owners: tuple[int, ...] = (0,)
    owner: int = 0
    channel: distributed.ProcessGroup | None = None

    @property
    def separate(self) -> bool:
        """Whether there is more than one."""
        return len(self.owners) > 1

    @property
    def owned(self) -> bool:
        """Whether this rank is the one that writes to its disk."""
        return self.rank == self.owner

    def mirror(self, folder: Path, *, source: int = 0) -> None:
        """Makes the folder hold on every disk what it holds on the source's: only files that differ are sent.

        folder: as each rank finds it on its own disk. Hidden entries of it are drafts, which are not sent.
        source: the owner of the disk whose files count.

        Raises TrainerError on all ranks where one cannot write its files.
        """
        if self.separate:
            self._together(lambda: self._mirror(folder, source))

    def collect(self, folder: Path) -> None:
        """Moves the files of the folder on all other disks into that of rank 0's. Their names must differ.

        Raises TrainerError on all ranks where rank 0 cannot write its files.
        """
        if self.separate:
            self._together(lambda: self._collect(folder))

    def _mirror(self, folder: Path, source: int) -> str | None:
        digests = self._of(source, _digests(folder) if self.rank == source else {})
        present = {name: size_digest for name, size_digest in _digests(folder).items() if name in digests}
        if self.rank != source:
            _keep_only(folder, set(digests))
        missing = {name for name in digests if present.get(name) != digests[name]}
        exchange = partial(distributed.broadcast, src=source, group=self.channel)
        fault = None
        for name in sorted(set().union(*self._of_all(missing))):
            size, _ = digests[name]
            if self.rank == source:
                _send(folder / name, size, exchange)
            else:
                to = folder / name if name in missing and fault is None else None
                failed = _receive(to, size, exchange)
                fault = fault or failed
        return fault

    def _collect(self, folder: Path) -> str | None:
        fault = None
        for owner in self.owners[1:]:
            own = sorted(_sizes(folder).items()) if self.rank == owner else []
            for name, size in self._of(owner, own):
                if self.rank == owner:
                    _send(folder / name, size, partial(distributed.send, dst=0, group=self.channel))
                elif self.rank == 0:
                    to = folder / name if fault is None else None
                    failed = _receive(to, size, partial(distributed.recv, src=owner, group=self.channel))
                    fault = fault or failed
            if self.rank == owner:
                shutil.rmtree(folder, ignore_errors=True)
        return fault

    def _together(self, copy: Callable[[], str | None]) -> None:
        """The owners copy; all ranks wait for them, and fail where one of them did."""
        faults: list[str | None] = [None] * distributed.get_world_size()
        distributed.all_gather_object(faults, copy() if self.owned else None)
        for rank, fault in enumerate(faults):
            if fault is not None:
                raise TrainerError(f"process {rank} cannot keep what it needs of another node's disk: {fault}")

    def _of(self, owner: int, value: T) -> T:
        """The owner's value, on all owners."""
        sent = [value]
        distributed.broadcast_object_list(sent, src=owner, group=self.channel, device=CPU)
        return sent[0]

    def _of_all(self, value: T) -> list[T]:
        """The values of all owners."""
        values: list[T] = [value] * len(self.owners)
        distributed.all_gather_object(values, value, group=self.channel)
        return values


ONE_DISK = Disks()


def find_disks(folder: Path, timeout: timedelta) -> Disks:
    """Which of the ranks see the same folder, found by files that they leave in it for a moment.

    folder: exists on every rank's disk.
    timeout: after which the owners no longer wait for each other.

    All ranks must call this. Where a shared file system hides new files too long, ranks that share a disk take it for
    two; the lock of the workspace then refuses the run.
    """
    rank, world_size = distributed.get_rank(), distributed.get_world_size()
    token = [uuid.uuid4().hex]
    distributed.broadcast_object_list(token, src=0, device=CPU)
    marks = folder / f".ranks-{token[0]}"
    marks.mkdir(exist_ok=True)
    (marks / str(rank)).touch()
    distributed.all_reduce(torch.zeros(1))
    owner = min(int(mark.name) for mark in marks.iterdir())
    found = [owner] * world_size
    distributed.all_gather_object(found, owner)
    if rank == owner:
        shutil.rmtree(marks)
    owners = tuple(sorted(set(found)))
    channel = distributed.new_group(owners, timeout, backend="gloo") if len(owners) > 1 else None
    return Disks(rank, owners, owner, channel)


def _sizes(folder: Path) -> dict[str, int]:
    """The size of every file below a folder, without hidden entries of the folder itself."""
    paths = {path.relative_to(folder): path for path in folder.rglob("*") if path.is_file()}
    return {str(name): path.stat().st_size for name, path in paths.items() if not name.parts[0].startswith(".")}


def _digests(folder: Path) -> dict[str, tuple[int, str]]:
    return {name: (size, sha256_of(folder / name)) for name, size in _sizes(folder).items()}


def _keep_only(folder: Path, names: set[str]) -> None:
    """Removes all other files of a folder, the folders that they leave empty, and itself if it is."""
    for path in [*sorted(folder.rglob("*"), reverse=True), folder]:
        if path.is_dir():
            with suppress(OSError):
                path.rmdir()
        elif str(path.relative_to(folder)) not in names:
            path.unlink(missing_ok=True)


def _lengths(size: int) -> Iterator[int]:
    return (min(CHUNK, size - start) for start in range(0, size, CHUNK))


def _send(file: Path, size: int, send: Callable[[Tensor], object]) -> None:
    with file.open("rb") as stream:
        for length in _lengths(size):
            send(torch.frombuffer(bytearray(stream.read(length)), dtype=torch.uint8))


def _receive(file: Path | None, size: int, receive: Callable[[Tensor], object]) -> str | None:
    """Receives a file, and returns why it cannot be written, if so: what is sent is received to its end all the same.

    file: where it is written; None to receive it only.
    """

    def parts() -> Iterator[memoryview]:
        for length in _lengths(size):
            part = torch.empty(length, dtype=torch.uint8)
            receive(part)
            yield part.numpy().data

    received, fault = parts(), None
    if file is not None:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("wb") as stream:
                for part in received:
                    stream.write(part)
        except OSError as error:
            fault = f"{file}: {error.strerror or error}"
    deque(received, maxlen=0)
    return fault
