"""The null space of a layer: the directions an update may take without changing what the layer does to general text.

The second moment of a layer's representations of general text has dominant eigenvectors D, which are protected, and
others U, which are free. The projector on the null space, P = U·Uᵀ = I - D·Dᵀ, is never formed; only the thinner of D
and U is kept. A layer has two sides:

- "output", as in the released code: the eigenvectors are of the layer's outputs, and P multiplies an update from the
  left. The output then changes only in directions that general text hardly uses.
- "input": the eigenvectors are of the layer's inputs, and P multiplies an update from the right. General inputs are
  then mapped to what they were mapped to before.

The factor may be kept in bfloat16. Its columns are then no longer orthonormal, so products go through the inverse of
its Gram matrix, F·(FᵀF)⁻¹·Fᵀ, which is the projector on the span of the rounded factor. What is protected is that span,
which differs from the estimated one by a thousandth. So little does the inverse differ from the identity, and only the
difference is kept, in float16: updates stay out of the span to a millionth.

W width of the side, K directions kept, X any number of columns.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from trainer.core.errors import NullSpaceError
from trainer.distributed.shard_range import ShardRange

__all__ = ["Energy", "NullSpace", "Relative", "Side", "Threshold", "protected_count"]

Side = Literal["output", "input"]

MIN_FREE_SHARE = 0.05  # of the directions stays free whatever the threshold says (as in the released code)


@dataclass(frozen=True, slots=True)
class Energy:
    """Protects the fewest dominant directions that hold the given share of the second moment's trace."""

    share: float = 0.95

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise NullSpaceError(f"Energy({self.share!r}): the share must lie between 0 and 1")


@dataclass(frozen=True, slots=True)
class Relative:
    """Protects the directions whose eigenvalue is at least the given part of the largest one."""

    part: float = 1e-3

    def __post_init__(self) -> None:
        if not 0 < self.part <= 1:
            raise NullSpaceError(f"Relative({self.part!r}): the part must lie in (0, 1]")


Threshold = Energy | Relative


@dataclass(frozen=True, slots=True, eq=False)
class NullSpace:
    """The null space of one layer, as a factor that spans either what is protected or what is free.

    side: whether it is a space of the layer's outputs or of its inputs.
    spans: whether the factor's columns span the protected directions or the free ones.
    factor_WK: the factor, or this rank's rows of it.
    gram_correction_KK: the inverse of the complete factor's Gram matrix less the identity, in float16 or wider; None
        for a factor whose columns are orthonormal.
    rows: which rows of the factor this rank holds; None for a complete factor.
    """

    side: Side
    spans: Literal["protected", "free"]
    factor_WK: Tensor
    rows: ShardRange | None = None
    gram_correction_KK: Tensor | None = None

    @property
    def width(self) -> int:
        """W of the complete factor."""
        return self.factor_WK.shape[0] if self.rows is None else self.rows.size

    @property
    def free(self) -> int:
        """The dimension of the null space: how many directions an update may use."""
        kept = self.factor_WK.shape[1]
        return self.width - kept if self.spans == "protected" else kept

    def project_(self, matrix_WX: Tensor) -> Tensor:
        """Projects the columns of a matrix on the null space, in place, and returns it. Pass a transpose for rows.

        If the factor is sharded, the matrix has the same rows as the factor on this rank, and all ranks must call this.
        """
        factor_WK = self.factor_WK.to(matrix_WX.dtype)
        coefficients_KX = factor_WK.T @ matrix_WX
        if self.rows is not None:
            self.rows.all_reduce([coefficients_KX])
        if self.gram_correction_KK is not None:
            coefficients_KX = coefficients_KX + self.gram_correction_KK.to(matrix_WX.dtype) @ coefficients_KX
        if self.spans == "protected":
            return matrix_WX.addmm_(factor_WK, coefficients_KX, alpha=-1)
        return matrix_WX.copy_(factor_WK @ coefficients_KX)

    def projected(self, matrix_WX: Tensor) -> Tensor:
        """A copy of the matrix with its columns projected. The matrix has all W rows, even if the factor is sharded."""
        if self.rows is None:
            return self.project_(matrix_WX.clone())
        return self.rows.all_gather(self.project_(self.rows.local_part(matrix_WX).clone()))

    def protected(self, matrix_WX: Tensor) -> Tensor:
        """The part of the columns that lies in the protected space. For a permitted update it is zero."""
        return matrix_WX - self.projected(matrix_WX)

    def shard(self, rows: ShardRange) -> NullSpace:
        """The same null space with only these rows of the factor on this rank."""
        part = rows.local_part(self.factor_WK)
        own = part if len(rows) == rows.size else part.clone()  # a view would keep all of it in memory
        return replace(self, factor_WK=own, rows=rows)

    def gathered(self) -> NullSpace:
        """The same null space with all rows of the factor on this rank."""
        return self if self.rows is None else replace(self, factor_WK=self.rows.all_gather(self.factor_WK), rows=None)

    def to(self, device: torch.device, dtype: torch.dtype) -> NullSpace:
        """The same null space on another device, in another type; a bfloat16 factor stays one beside float32."""
        if self.gram_correction_KK is None:
            return replace(self, factor_WK=self.factor_WK.to(device, dtype))
        kept = self.factor_WK.dtype if dtype == torch.float32 else dtype
        correction_KK = self.gram_correction_KK.to(device, torch.float16 if dtype == torch.float32 else dtype)
        return replace(self, factor_WK=self.factor_WK.to(device, kept), gram_correction_KK=correction_KK)

    def rounded(self) -> NullSpace:
        """The null space with its complete factor rounded to bfloat16, which takes half of the memory."""
        if self.gram_correction_KK is not None:
            return self
        factor_WK = self.factor_WK.to(torch.bfloat16)
        double_WK = factor_WK.double()
        correction_KK = torch.cholesky_inverse(torch.linalg.cholesky(double_WK.T @ double_WK))
        correction_KK.diagonal().sub_(1)
        return replace(self, factor_WK=factor_WK, gram_correction_KK=correction_KK.half())

    def equals(self, other: NullSpace) -> bool:
        """Whether both are the same space in the same memory layout, to the bit, on this rank."""
        same_kind = (self.side, self.spans, self.rows) == (other.side, other.spans, other.rows)
        mine, others = self.factor_WK, other.factor_WK
        return same_kind and mine.dtype == others.dtype and torch.equal(mine, others)


def protected_count(values: Tensor, trace: float, width: int, threshold: Threshold) -> int | None:
    """How many eigenvalues the threshold protects; None where the given ones are too few to say.

    values: the eigenvalues in descending order, or only the largest of them.
    trace: the sum of all eigenvalues.
    width: how many eigenvalues there are.
    """
    max_protected = width - math.ceil(width * MIN_FREE_SHARE)
    if isinstance(threshold, Energy):
        reached = (values.cumsum(0) >= threshold.share * trace).nonzero()
        count = int(reached[0]) + 1 if len(reached) else None
    else:
        count = int((values >= threshold.part * values[0]).sum())
        count = None if count == len(values) < width else count
    if count is None:
        return max_protected if len(values) >= max_protected else None
    return min(count, max_protected)
