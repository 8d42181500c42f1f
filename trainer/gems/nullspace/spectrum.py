"""The eigenvectors of the second moment of a layer's representations, which arrive batch by batch.

Narrow layers keep the whole second moment. For wide layers it would be too large (for an MLP of 11,008 units half a
gigabyte a layer), so they keep a sketch of its dominant part by frequent directions (Ghashami, Liberty, Phillips,
Woodruff 2016). The sketch is a matrix of some rows; whenever it overflows, its squared singular values are reduced by
the first one that does not fit. In any direction, the sketch's Gram matrix is at most the true second moment, and at
most trace / rows below it.

T tokens, W width of the layer, K rows kept.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from trainer.core.errors import NullSpaceError
from trainer.gems.nullspace.space import NullSpace, Side, Threshold, protected_count

__all__ = ["ExactSpectrum", "SketchedSpectrum", "Spectrum"]


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
    """Keeps a sketch of a second moment.

    rows: how many rows the sketch has. As many again are a buffer for new ones.
    """

    def __init__(self, width: int, rows: int, device: torch.device) -> None:
        self.tokens = 0
        self.trace = 0.0
        self._kept_KW = torch.zeros(0, width, device=device)
        self._rows = rows

    def add(self, rows_TW: Tensor) -> None:
        self.tokens += rows_TW.shape[0]
        self.trace += float(rows_TW.double().square().sum())
        for part_TW in torch.split(rows_TW, self._rows):
            self._kept_KW = torch.cat([self._kept_KW, part_TW])
            if len(self._kept_KW) > 2 * self._rows:
                self._shrink()

    def null_space(self, side: Side, threshold: Threshold) -> NullSpace:
        values_K, vectors_WK = self._dominant()
        count = protected_count(values_K[: self._rows], self.trace, len(vectors_WK), threshold)
        if count is None:
            held = float(values_K[: self._rows].sum()) / self.trace
            raise NullSpaceError(
                f"the {self._rows} directions kept of a layer {len(vectors_WK)} wide hold {held:.0%} of its energy, "
                f"too few for {threshold}: raise sketch_rows of estimate_null_spaces, or protect less by a lower "
                "null_space.energy or a higher null_space.relative"
            )
        return NullSpace(side, "protected", vectors_WK[:, :count].contiguous())

    def _shrink(self) -> None:
        values_K, vectors_WK = self._dominant()
        left_K = (values_K - values_K[self._rows]).clamp_min(0)[: self._rows]
        self._kept_KW = vectors_WK[:, : self._rows].T * left_K.sqrt().unsqueeze(1)

    def _dominant(self) -> tuple[Tensor, Tensor]:
        """The eigenvalues [K] and eigenvectors [W, K] of the kept rows' Gram matrix, in descending order."""
        _, singular_K, vectors_KW = torch.linalg.svd(self._kept_KW, full_matrices=False)
        return singular_K.square(), vectors_KW.T
