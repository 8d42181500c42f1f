"""The gradient of a projected weight for one micro-batch, of which only products with thin matrices are asked.

A linear layer's gradient is itself a product, of the gradients of its outputs and of its inputs, summed over the T
tokens. Multiplied from the thin side, it need not be computed: with K columns asked for, T·K·(S + L) multiplications
take the place of the T·S·L of the complete gradient and the K·S·L of its projections. For the MLP of Qwen2.5-0.5B
(896×4,864) and K = 256 that is a third of them; for wide subspaces of a tiny model and many tokens it is more.

S, L shorter and longer side of the weight; s, l this rank's part of them; R rank; C columns of a sketch; T tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

__all__ = ["CompleteGradient", "FactoredGradient", "Gradient", "factors_are_cheaper"]


class Gradient(Protocol):
    """A gradient [s, l], with the weight's shorter side first."""

    @property
    def dtype(self) -> torch.dtype: ...

    def projected(self, basis_sR: Tensor) -> Tensor:
        """basisᵀ · gradient [R, l]. The basis has the gradient's type."""

    def times(self, matrix_lC: Tensor) -> Tensor:
        """gradient · matrix [s, C]. The matrix has the gradient's type."""


@dataclass(frozen=True, slots=True)
class CompleteGradient:
    """A gradient that has been computed."""

    grad_sl: Tensor

    @property
    def dtype(self) -> torch.dtype:
        return self.grad_sl.dtype

    def projected(self, basis_sR: Tensor) -> Tensor:
        return basis_sR.T @ self.grad_sl

    def times(self, matrix_lC: Tensor) -> Tensor:
        return self.grad_sl @ matrix_lC


@dataclass(frozen=True, slots=True)
class FactoredGradient:
    """The gradient shortᵀ · long, which is never computed.

    short_TS, long_TL: the outputs' gradients and the inputs, each on the side of the weight that is theirs.
    """

    short_TS: Tensor
    long_TL: Tensor

    @property
    def dtype(self) -> torch.dtype:
        return self.long_TL.dtype

    def projected(self, basis_sR: Tensor) -> Tensor:
        return (self.short_TS @ basis_sR).T @ self.long_TL

    def times(self, matrix_lC: Tensor) -> Tensor:
        return self.short_TS.T @ (self.long_TL @ matrix_lC)


def factors_are_cheaper(tokens: int, short: int, long: int, columns: int) -> bool:
    """Whether products with `columns` thin columns take fewer multiplications without the complete gradient."""
    return tokens * columns * (short + long) < (tokens + columns) * short * long
