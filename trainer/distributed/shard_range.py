"""A dimension that several processes hold between them, each a stretch of it.

FSDP2 cuts the rows of a weight so; this package cuts the columns of low-rank images and the rows of null spaces in the
same way. Where one process holds everything a stretch is the whole dimension, and nothing is sent.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from trainer.distributed.group import ALONE, ProcessGroup

__all__ = ["ShardRange"]


@dataclass(frozen=True, slots=True)
class ShardRange:
    """Of `size` indices those from `start` up to `stop` are here; `processes` hold all of them."""

    size: int
    start: int
    stop: int
    processes: ProcessGroup

    @classmethod
    def whole(cls, size: int) -> ShardRange:
        return cls(size, 0, size, ALONE)

    @classmethod
    def cut(cls, size: int, processes: ProcessGroup) -> ShardRange:
        """This process's stretch of equal ones, the last of them shorter or empty, as FSDP2 cuts."""
        most = -(-size // processes.world)
        return cls(size, min(size, processes.rank * most), min(size, (processes.rank + 1) * most), processes)

    def __len__(self) -> int:
        return self.stop - self.start

    def of(self, whole: Tensor, dim: int = 0) -> Tensor:
        """What is here of a tensor that every process has: a view."""
        return whole.narrow(dim, self.start, len(self))

    def join(self, part: Tensor, dim: int = 0) -> Tensor:
        """The whole tensor from every process's part. All processes must call it."""
        if self.processes.world == 1:
            return part
        return self.processes.join(part.movedim(dim, 0), self.size).movedim(0, dim).contiguous()

    def within(self, indices: slice | Tensor | None) -> slice | Tensor | None:
        """Those of some indices of the whole (None: all) that are here, counted from the first one here."""
        if indices is None:
            return None
        if isinstance(indices, Tensor):
            return indices[(indices >= self.start) & (indices < self.stop)] - self.start
        first, last, _ = indices.indices(self.size)
        return slice(*(min(max(index - self.start, 0), len(self)) for index in (first, max(first, last))))

    def sum_(self, parts: list[Tensor]) -> None:
        """Replaces products that each process made over its own stretch by their sums: products over the whole."""
        self.processes.sum_(parts)
