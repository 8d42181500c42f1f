"""The eigenvectors of the second moment of a layer's representations, which arrive batch by batch.

Narrow layers keep the whole second moment. For wide layers it would be too large (for an MLP of 11,008 units half a
gigabyte a layer), so they keep its product with a random matrix of fewer columns, which is linear in the tokens: a
batch costs two thin matrix products. From that product the dominant part is recovered at the end by Nyström's method in
the stable form of Tropp, Yurtsever, Udell and Cevher (2017, arXiv 1706.05736). What is recovered is at most the true
second moment in every direction, so energies are never overstated.

T tokens, W width of the layer, C columns of the random matrix, K directions kept.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Protocol

import torch
from torch import Tensor

from trainer.core.errors import NullSpaceError
from trainer.gems.nullspace.space import NullSpace, Side, Threshold, protected_count

__all__ = ["ExactSpectrum", "SketchedSpectrum", "Spectrum"]

OVERSAMPLING = 0.25
"""Columns of a sketch beyond the directions that are kept, as a share of these."""
SHIFT = 1e-6
"""What is added to the second moment for stability and taken off again, as a share of the sketch's norm."""


class Spectrum(Protocol):
    """Collects the representations of tokens, and makes a null space of them.

    tokens: how many there were so far.
    """

    tokens: int

    @property
    def trace(self) -> float: ...

    def add(self, rows_TW: Tensor) -> None:
        """Adds the representations of some tokens, float32 [T, W]."""
        ...

    def null_space(self, side: Side, threshold: Threshold) -> NullSpace: ...


class ExactSpectrum:
    """Keeps the whole second moment, in float64."""

    def __init__(self, width: int, device: torch.device) -> None:
        self.tokens = 0
        self._moment_WW = torch.zeros(width, width, dtype=torch.float64, device=device)

    @property
    def trace(self) -> float:
        return float(self._moment_WW.trace())

    def add(self, rows_TW: Tensor) -> None:
        self.tokens += rows_TW.shape[0]
        self._moment_WW += rows_TW.T @ rows_TW

    def null_space(self, side: Side, threshold: Threshold) -> NullSpace:
        values_W, vectors_WW = torch.linalg.eigh(self._moment_WW)
        values_W, vectors_WW = values_W.flip(0).clamp_min(0), vectors_WW.flip(1)
        width = len(values_W)
        protected = protected_count(values_W, self.trace, width, threshold)
        assert protected is not None  # all eigenvalues are there
        if protected <= width // 2:
            return NullSpace(side, "protected", vectors_WW[:, :protected].float().contiguous())
        return NullSpace(side, "free", vectors_WW[:, protected:].float().contiguous())


class SketchedSpectrum:
    """Keeps the second moment's product with a random matrix.

    rows: how many directions are kept at the end. The random matrix has more columns than that, which makes the last of
        these directions more accurate.
    """

    def __init__(self, width: int, rows: int, device: torch.device) -> None:
        self.tokens = 0
        self._rows = rows
        self._test_WC = _test_matrix(width, min(width, rows + math.ceil(OVERSAMPLING * rows)), device)
        self._product_WC = torch.zeros_like(self._test_WC)
        self._trace = torch.zeros((), dtype=torch.float64, device=device)  # there: reading it would wait for the device

    @property
    def trace(self) -> float:
        return float(self._trace)

    def add(self, rows_TW: Tensor) -> None:
        self.tokens += rows_TW.shape[0]
        self._trace += rows_TW.square().sum(dtype=torch.float64)
        self._product_WC.addmm_(rows_TW.T, rows_TW @ self._test_WC)

    def null_space(self, side: Side, threshold: Threshold) -> NullSpace:
        values_K, vectors_WK = self._dominant()
        count = protected_count(values_K, self.trace, len(vectors_WK), threshold)
        if count is None:
            held = float(values_K.sum()) / self.trace
            raise NullSpaceError(
                f"the {self._rows} directions kept of a layer {len(vectors_WK)} wide hold {held:.0%} of its energy, "
                f"too few for {threshold}: raise sketch_rows of estimate_null_spaces, or protect less by a lower "
                "null_space.energy or a higher null_space.relative"
            )
        return NullSpace(side, "protected", vectors_WK[:, :count].contiguous())

    def _dominant(self) -> tuple[Tensor, Tensor]:
        """The largest eigenvalues [K] and their eigenvectors, float32 [W, K], in descending order."""
        test_WC, product_WC = self._test_WC.double(), self._product_WC.double()
        shift = SHIFT * torch.linalg.matrix_norm(product_WC)  # above the rounding of the product, in float32
        product_WC.add_(test_WC, alpha=float(shift))
        gram_CC = test_WC.T @ product_WC
        root_CC = torch.linalg.cholesky((gram_CC + gram_CC.T) / 2)
        half_WC = torch.linalg.solve_triangular(root_CC.T, product_WC, upper=True, left=False)
        values_C, right_CC = torch.linalg.eigh(half_WC.T @ half_WC)  # half_WC times its transpose is the moment
        values_K, right_CK = values_C.flip(0)[: self._rows], right_CC.flip(1)[:, : self._rows]
        vectors_WK = half_WC @ right_CK / values_K.clamp_min(float(shift)).sqrt()
        return (values_K - shift).clamp_min(0), vectors_WK.float()


@lru_cache(maxsize=4)
def _test_matrix(width: int, columns: int, device: torch.device) -> Tensor:
    """The random matrix [W, C] of all layers of a width, the same on every device and in every run."""
    draw = torch.Generator().manual_seed(width)
    return torch.randn(width, columns, generator=draw).to(device)
