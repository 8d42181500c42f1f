"""A projected weight as this process holds it: all of it, or the rows that FSDP2 left here.

Everything the optimiser does to a weight [M, N] is a product with its gradient or with itself. When each process holds
some rows of both, a product runs over the rows, and its parts are summed, or it leaves the rows where they are:

- rows on the shorter side (M ≤ N): the bases lie along the rows, Uᵀ·G is the sum of the processes' U_mᵀ·G_m. Its
  columns are then cut, so that moments and directions are computed, and kept, for some of the columns only; the
  directions' columns are joined for the update;
- rows on the longer side (M > N): every process has its own columns of the image, and of moments and directions.

Where one process holds the weight the sums and joins do nothing, so layer.py is written once.

M, N rows and columns of the weight; S, L its shorter and longer side; R rank, of one or several subspaces; C columns of
the sketch; m, s, l what is here of M, S, L, as the gradient has them; k the columns of L whose moments are here.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from trainer.distributed.dtensor import local, rows_here
from trainer.distributed.group import ProcessGroup
from trainer.distributed.shard_range import ShardRange
from trainer.gems.nullspace.space import NullSpace

__all__ = ["LocalRows"]


class LocalRows:
    def __init__(self, weight: nn.Parameter, shards: ProcessGroup) -> None:
        self._weight = weight
        rows, columns = weight.shape
        self.transposed = rows > columns
        self.rows = rows_here(weight, shards)
        self._columns = ShardRange.cut(columns, self.rows.processes)
        self._short = ShardRange.whole(columns) if self.transposed else self.rows
        self._long = self.rows if self.transposed else ShardRange.whole(columns)
        self._kept = ShardRange.whole(len(self.rows)) if self.transposed else self._columns

    @property
    def weight_mN(self) -> Tensor:
        return local(self._weight)

    @property
    def image_columns(self) -> int:
        """l: of the images that gradients here have."""
        return len(self._long)

    @property
    def sketch_rows(self) -> int:
        """s: of the sketches of gradients here."""
        return len(self._short)

    @property
    def moment_columns(self) -> int:
        """k: of the images and moments that the update here computes with."""
        return len(self._kept)

    def take_gradient(self) -> Tensor:
        """The weight's gradient [s, l], which is freed."""
        grad, self._weight.grad = self._weight.grad, None
        assert grad is not None  # the hook runs when there is one
        return local(grad).T if self.transposed else local(grad)

    def basis_here(self, basis_SR: Tensor) -> Tensor:
        """What a gradient [s, l] is multiplied by from the left [s, R]."""
        return self._short.of(basis_SR)

    def test_matrix_here(self, omega_LC: Tensor) -> Tensor:
        """What a gradient [s, l] is multiplied by from the right [l, C]."""
        return self._long.of(omega_LC)

    def sum_images(self, images: Sequence[Tensor]) -> list[Tensor]:
        """From products with the gradients here [R, l], those columns of the whole images that are kept here [R, k]."""
        self._short.sum_(list(images))
        return [self._kept.of(image_Rl, 1).contiguous() for image_Rl in images]

    def join_directions(self, directions: Sequence[Tensor]) -> list[Tensor]:
        """From kept columns [R, k] those that gradients here have [R, l]."""
        if self._kept.processes.world == 1 or not directions:
            return list(directions)
        joint_Rl = self._kept.join(torch.cat(list(directions)), 1)
        return list(torch.split(joint_Rl, [len(direction_Rk) for direction_Rk in directions]))

    def join_sketch(self, sketch_sC: Tensor) -> Tensor:
        """The whole gradient's sketch [S, C], from the product with the gradients here."""
        self._long.sum_([sketch_sC])
        return self._short.join(sketch_sC)

    def cut(self, null_space: NullSpace) -> NullSpace:
        """The part of it that is kept here: by rows of the weight for its outputs, by columns for its inputs."""
        return null_space.cut(self.rows if null_space.side == "output" else self._columns)
