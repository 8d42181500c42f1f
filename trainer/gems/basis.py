"""Bases of the subspaces: from a sketch of the gradient, or at random before there is one.

Why a sketch: the best basis of rank R is the top left singular vectors of the gradient, but the gradient never exists
as a whole: it comes in parts (two tasks, micro-batches, processes), each freed at once. Y = G·Ω, with Ω a thin random
matrix, is linear in G, so the parts' sketches add up to the whole's. The range of Y holds G's dominant directions
(Halko, Martinsson, Tropp 2011), and its leading singular vectors are the basis. Power iterations would need G again;
measured on a small language model they add nothing. Of the gradients of the batches that came next, the sketch's basis
caught 98.5 to 99.8% of the energy that exact singular vectors did, and no more with power iterations.

S shorter side of the weight, R rank, C columns of the sketch.
"""

from __future__ import annotations

import torch
from torch import Tensor

from trainer.gems.nullspace.space import NullSpace

__all__ = ["random_basis", "sketch_basis"]

FILL = 1e-4  # of the sketch's size: random directions where the gradient determines none, well above rounding


def random_basis(
    size: int, rank: int, null_space: NullSpace | None, *, dtype: torch.dtype, draw: torch.Generator
) -> Tensor:
    """An orthonormal basis [size, rank] of a random subspace, inside the null space where one is given."""
    gaussian_SR = torch.randn(size, rank, dtype=dtype, device=draw.device, generator=draw)
    return _orthonormal(gaussian_SR, null_space)


def sketch_basis(sketch_SC: Tensor, rank: int, null_space: NullSpace | None, *, draw: torch.Generator) -> Tensor:
    """The orthonormal basis [S, rank] of the sketch's leading directions, inside the null space where one is given.

    `null_space` must protect directions of the S side. A sketch of lower rank than asked is completed at random.
    """
    norm = torch.linalg.vector_norm(sketch_SC).clamp_min(torch.finfo(sketch_SC.dtype).tiny)
    noise_SC = torch.randn(sketch_SC.shape, dtype=sketch_SC.dtype, device=sketch_SC.device, generator=draw)
    sketch_SC = (sketch_SC / norm).add_(noise_SC, alpha=FILL / sketch_SC.numel() ** 0.5)
    range_SC = _orthonormal(sketch_SC, null_space)
    leading_CC: Tensor = torch.linalg.svd(range_SC.T @ sketch_SC)[0]
    return range_SC @ leading_CC[:, :rank]


def _orthonormal(matrix_SC: Tensor, null_space: NullSpace | None) -> Tensor:
    """Of the columns. Twice: after once, the Q of an ill-conditioned matrix is not quite in the null space."""
    for _ in range(2):
        if null_space is not None:
            matrix_SC = null_space.projected(matrix_SC)
        matrix_SC = torch.linalg.qr(matrix_SC)[0]
    return matrix_SC.contiguous()  # a resumed run must multiply in the same order, to the same bits
