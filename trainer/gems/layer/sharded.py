"""A projected weight as one rank holds it: all of it, or the rows that FSDP2 gave to this rank.

Whatever the optimiser does to a weight [M, N] is a product with its gradient or with the weight itself. When every rank
holds some rows of both, there are two cases:

- rows on the shorter side (M ≤ N): the bases lie along the rows, so the projected gradient Uᵀ·G is the sum of the
  ranks' products U_mᵀ·G_m. Its columns are then split: every rank computes and keeps moments and directions for some
  of the columns only, and the directions' columns are gathered for the update;
- rows on the longer side (M > N): every rank has its own columns of the projected gradient, moments and directions.

If one process holds the whole weight, the sums and gathers do nothing, so `layer` needs no case of its own for it.

M, N rows and columns of the weight; S, L its shorter and longer side; R rank of one or several subspaces; C columns of
the sketch; m, s, l this rank's part of M, S and L; k those columns of L for which this rank keeps moments.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from trainer.distributed.dtensor import local_rows, local_tensor
from trainer.distributed.group import ProcessGroup
from trainer.distributed.shard_range import ShardRange
from trainer.gems.nullspace.space import NullSpace

__all__ = ["ShardedWeight"]


class ShardedWeight:
    """A weight, the rows and columns of it that this rank works on, and the collectives that complete products.

    transposed: whether the rows are the longer side, so that everything is computed on the transpose.
    rows: the rows of the weight that this rank holds.
    """

    def __init__(self, weight: nn.Parameter, shard_group: ProcessGroup) -> None:
        self._weight = weight
        rows, columns = weight.shape
        self.transposed = rows > columns
        self.rows = local_rows(weight, shard_group)
        self._columns = ShardRange.split(columns, self.rows.group)
        self._short = ShardRange.full(columns) if self.transposed else self.rows
        self._long = self.rows if self.transposed else ShardRange.full(columns)
        self._kept = ShardRange.full(len(self.rows)) if self.transposed else self._columns

    @property
    def weight_mN(self) -> Tensor:
        """This rank's rows of the weight, in the same memory."""
        return local_tensor(self._weight)

    @property
    def projected_columns(self) -> int:
        """How many columns this rank's projected gradients have: l."""
        return len(self._long)

    @property
    def sketch_rows(self) -> int:
        """How many rows this rank's sketches have: s."""
        return len(self._short)

    @property
    def moment_columns(self) -> ShardRange:
        """The columns of L for which this rank keeps moments: k of them."""
        return self.rows if self.transposed else self._columns

    def take_gradient(self) -> Tensor:
        """Returns this rank's part [s, l] of the weight's gradient, and removes the gradient from the weight."""
        grad, self._weight.grad = self._weight.grad, None
        assert grad is not None  # the hook runs when there is one
        return local_tensor(grad).T if self.transposed else local_tensor(grad)

    def local_basis(self, basis_SR: Tensor) -> Tensor:
        """The rows [s, R] of a basis that belong to this rank's gradient [s, l]."""
        return self._short.local_part(basis_SR)

    def local_test_matrix(self, omega_LC: Tensor) -> Tensor:
        """The rows [l, C] of a sketch's test matrix that belong to this rank's gradient [s, l]."""
        return self._long.local_part(omega_LC)

    def reduce_projected(self, projected: Sequence[Tensor]) -> list[Tensor]:
        """Sums projected gradients [R, l] over the ranks and returns the columns [R, k] that this rank keeps."""
        self._short.all_reduce(list(projected))
        return [self._kept.local_part(grad_Rl, 1).contiguous() for grad_Rl in projected]

    def gather_directions(self, directions: Sequence[Tensor]) -> list[Tensor]:
        """Gathers the columns that the ranks keep [R, k] to those that this rank's gradient has [R, l]."""
        if self._kept.group.world_size == 1 or not directions:
            return list(directions)
        joint_Rl = self._kept.all_gather(torch.cat(list(directions)), 1)
        return list(torch.split(joint_Rl, [len(direction_Rk) for direction_Rk in directions]))

    def gather_sketch(self, sketch_sC: Tensor) -> Tensor:
        """The sketch [S, C] of the complete gradient, from the sketches [s, C] of the ranks' parts."""
        self._long.all_reduce([sketch_sC])
        return self._short.all_gather(sketch_sC)

    def shard_null_space(self, null_space: NullSpace) -> NullSpace:
        """The part of a null space that this rank keeps.

        It is split as the weight's rows are on the output side, and in equal ranges of columns on the input side.
        """
        return null_space.shard(self.rows if null_space.side == "output" else self._columns)
