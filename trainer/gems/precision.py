"""How precise what is, and how an update reaches a weight that has fewer digits than the update.

Bases, moments and updates are float32 (float64 for float64 weights). Float32 weights round to nearest. Bfloat16 weights
round stochastically: up or down with the probability that makes the rounded weight right on average, so that updates
below half a unit in the last place add up over steps instead of vanishing. This needs no second copy of the weights.
The null space holds for the update before it is rounded; what rounding adds has mean zero and no preferred direction.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from trainer.gems.randomness import generator_for

__all__ = ["add_rounded_", "compute_dtype", "full_precision"]

KEPT_BITS = -0x10000  # of a float32 as int32: sign, exponent and the seven mantissa bits that bfloat16 has


def compute_dtype(weight: Tensor) -> torch.dtype:
    """The type in which moments, bases and updates of this weight are kept."""
    return torch.float64 if weight.dtype == torch.float64 else torch.float32


@contextmanager
def full_precision() -> Iterator[None]:
    """Float32 products in full: with TF32 an update would leave the null space in its fourth digit."""
    backends: tuple[Any, ...] = (torch.backends.cuda.matmul, torch.backends.mkldnn.matmul)  # type: ignore[attr-defined]
    before = [backend.fp32_precision for backend in backends]
    for backend in backends:
        backend.fp32_precision = "ieee"
    try:
        yield
    finally:
        for backend, precision in zip(backends, before, strict=True):
            backend.fp32_precision = precision


def add_rounded_(weight: Tensor, update: Tensor, *, seed: int, name: str, step: int, first_row: int = 0) -> None:
    """Adds `update` (same shape, in the compute type) to `weight` in place.

    The weight's name, the first of its rows that is here and the step, with the seed, decide how bfloat16 is rounded.
    """
    if weight.dtype != torch.bfloat16:
        weight.add_(update)
        return
    draw = generator_for(seed, "rounding", name, first_row, step, device=weight.device)
    exact = weight.float().add_(update)
    bits = exact.view(torch.int32)
    noise = torch.empty_like(bits).random_(0, 1 << 16, generator=draw)
    bits.add_(noise).bitwise_and_(KEPT_BITS)
    weight.copy_(exact)
