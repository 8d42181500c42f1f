"""Where an update may go without touching what a layer does to general text.

The second moment of a layer's representation of general text has dominant eigenvectors D and others U. The projector
on the null space, P = U·Uᵀ = I - D·Dᵀ, is never formed; only the thinner of D and U is kept.

Two sides. "output" (as released): D spans the layer's outputs and P multiplies the update from the left, so the
layer's output changes only in directions that general text hardly uses. "input": D spans the layer's inputs and P
multiplies from the right, so general inputs are mapped to what they were mapped to before.

W width of the side, K directions kept, X anything.
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

FREE_SHARE = 0.05  # of the directions stays free whatever the threshold says (as released)


@dataclass(frozen=True, slots=True)
class Energy:
    """Protects the fewest dominant directions that hold this share of the second moment's trace."""

    share: float = 0.95

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise NullSpaceError(f"Energy({self.share!r}): the share must lie between 0 and 1")


@dataclass(frozen=True, slots=True)
class Relative:
    """Protects the directions whose eigenvalue is at least this part of the largest one."""

    part: float = 1e-3

    def __post_init__(self) -> None:
        if not 0 < self.part <= 1:
            raise NullSpaceError(f"Relative({self.part!r}): the part must lie in (0, 1]")


Threshold = Energy | Relative


@dataclass(frozen=True, slots=True, eq=False)
class NullSpace:
    """The null space of one layer, as an orthonormal factor that spans either what is protected or what is free."""

    side: Side
    spans: Literal["protected", "free"]
    factor_WK: Tensor
    along: ShardRange | None = None  # which of the factor's rows are here; None: all

    @property
    def width(self) -> int:
        return self.factor_WK.shape[0] if self.along is None else self.along.size

    @property
    def free(self) -> int:
        """Dimension of the null space: how many directions an update may use."""
        kept = self.factor_WK.shape[1]
        return self.width - kept if self.spans == "protected" else kept

    def project_(self, matrix_WX: Tensor) -> Tensor:
        """Projects the columns on the null space, in place, and returns them. Give a transpose to project rows.

        Of a factor that was cut, `matrix_WX` has those rows that the factor has here.
        """
        coefficients_KX = self.factor_WK.T @ matrix_WX
        if self.along is not None:
            self.along.sum_([coefficients_KX])
        if self.spans == "protected":
            return matrix_WX.addmm_(self.factor_WK, coefficients_KX, alpha=-1)
        return matrix_WX.copy_(self.factor_WK @ coefficients_KX)

    def projected(self, matrix_WX: Tensor) -> Tensor:
        """A projected copy of columns that are here as a whole, whether the factor was cut or not."""
        if self.along is None:
            return self.project_(matrix_WX.clone())
        return self.along.join(self.project_(self.along.of(matrix_WX).clone()))

    def protected(self, matrix_WX: Tensor) -> Tensor:
        """The part of the columns that lies in the protected space: zero for anything an update may be."""
        return matrix_WX - self.projected(matrix_WX)

    def cut(self, along: ShardRange) -> NullSpace:
        """The same null space with only those rows of the factor here."""
        part = along.of(self.factor_WK)
        own = part if len(along) == along.size else part.clone()  # a view would keep all of it in memory
        return replace(self, factor_WK=own, along=along)

    def joined(self) -> NullSpace:
        """The same null space with all rows of the factor here."""
        return self if self.along is None else replace(self, factor_WK=self.along.join(self.factor_WK), along=None)

    def to(self, device: torch.device, dtype: torch.dtype) -> NullSpace:
        return replace(self, factor_WK=self.factor_WK.to(device, dtype))


def protected_count(values: Tensor, trace: float, width: int, threshold: Threshold) -> int | None:
    """How many of the eigenvalues (descending, possibly only the largest of them) the threshold protects.

    `trace` is the sum of all eigenvalues. None: more than the given ones, so they do not tell.
    """
    most = width - math.ceil(width * FREE_SHARE)
    if isinstance(threshold, Energy):
        reached = (values.cumsum(0) >= threshold.share * trace).nonzero()
        count = int(reached[0]) + 1 if len(reached) else None
    else:
        count = int((values >= threshold.part * values[0]).sum())
        count = None if count == len(values) < width else count
    if count is None:
        return most if len(values) >= most else None
    return min(count, most)
