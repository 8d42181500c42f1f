"""The part of a dimension that one rank holds: a range of indices.

FSDP2 splits the rows of a weight into such ranges. The columns of projected gradients and the rows of null spaces are
split in the same way. Where one process holds everything, the range is the whole dimension and nothing is sent.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from trainer.distributed.group import SINGLE_PROCESS, ProcessGroup

__all__ = ["ShardRange"]


@dataclass(frozen=True, slots=True)
class ShardRange:
    """The indices of a dimension that this rank holds: those from `start` up to, but without, `stop`.

    size: the length of the dimension.
    group: the ranks that hold all of it together.
    """

    size: int
    start: int
    stop: int
    group: ProcessGroup

    @classmethod
    def full(cls, size: int) -> ShardRange:
        """All indices, held by every process on its own."""
        return cls(size, 0, size, SINGLE_PROCESS)

    @classmethod
    def split(cls, size: int, group: ProcessGroup) -> ShardRange:
        """This rank's range of a dimension that is split as FSDP2 splits rows: equally, but for shorter last ranges."""
        length = -(-size // group.world_size)
        return cls(size, min(size, group.rank * length), min(size, (group.rank + 1) * length), group)

    def __len__(self) -> int:
        return self.stop - self.start

    def local_part(self, tensor: Tensor, dim: int = 0) -> Tensor:
        """The part of a complete tensor that belongs to this rank, as a view along dimension `dim`."""
        return tensor.narrow(dim, self.start, len(self))

    def all_gather(self, part: Tensor, dim: int = 0) -> Tensor:
        """The complete tensor, from the parts of all ranks along dimension `dim`. All ranks must call this."""
        if self.group.world_size == 1:
            return part
        return self.group.all_gather(part.movedim(dim, 0), self.size).movedim(0, dim).contiguous()

    def all_reduce(self, partial_sums: list[Tensor]) -> None:
        """Replaces partial sums, which each rank has taken over its own range, by the sums over the ranks, in place."""
        self.group.all_reduce(partial_sums)

    def local_indices(self, indices: slice | Tensor | None) -> slice | Tensor | None:
        """Those of the given indices that this rank holds, counted from its first one.

        indices: a slice or a tensor of indices of the whole dimension; None, for all of them, gives None.
        """
        if indices is None:
            return None
        if isinstance(indices, Tensor):
            return indices[(indices >= self.start) & (indices < self.stop)] - self.start
        first, last, _ = indices.indices(self.size)
        return slice(*(min(max(index - self.start, 0), len(self)) for index in (first, max(first, last))))
