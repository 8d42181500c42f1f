"""Number types, rounding and random numbers of the optimiser.

Bases, moments and updates are float32, or float64 for float64 weights. Float32 weights round to nearest. Bfloat16
weights round stochastically: up or down with the probability that makes the rounded weight right on average. So updates
below half a unit in the last place add up over the steps instead of vanishing, without a second copy of the weights.
An update lies in the null space before it is rounded; what rounding adds has mean zero and no preferred direction.

Random numbers depend on nothing but the seed and the purpose that they are drawn for. A new generator is made for each
use, so no generator state is saved, a skipped step is repeated with the same numbers, and all ranks draw the same ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

__all__ = ["add_rounded_", "compute_dtype", "full_precision", "generator_for"]

BFLOAT16_BITS = -0x10000  # mask of a float32 as int32: sign, exponent and the seven mantissa bits that bfloat16 has


def generator_for(seed: int, *purpose: str | int, device: torch.device) -> torch.Generator:
    """A new generator on `device`, whose numbers depend on the seed and the purpose alone.

    purpose: what the numbers are for, such as "sketch", a layer's name and the step.
    """
    digest = hashlib.blake2b(repr((seed, *purpose)).encode(), digest_size=8).digest()
    return torch.Generator(device=device).manual_seed(int.from_bytes(digest, "big") >> 1)


def compute_dtype(weight: Tensor) -> torch.dtype:
    """The type in which moments, bases and updates of this weight are kept."""
    return torch.float64 if weight.dtype == torch.float64 else torch.float32


@contextmanager
def full_precision() -> Iterator[None]:
    """A context in which float32 products are computed in full precision.

    With TF32 an update would leave the null space in its fourth digit.
    """
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
    """Adds an update to a weight in place, with stochastic rounding where the weight is bfloat16.

    The random part of the rounding depends on `seed`, `name`, `step` and `first_row` alone.

    update: a tensor of the weight's shape, in the weight's compute type.
    name: the weight's name.
    step: steps applied so far.
    first_row: the first of the weight's rows that this rank holds.
    """
    if weight.dtype != torch.bfloat16:
        weight.add_(update)
        return
    generator = generator_for(seed, "rounding", name, first_row, step, device=weight.device)
    exact = weight.float().add_(update)
    bits = exact.view(torch.int32)
    noise = torch.empty_like(bits).random_(0, 1 << 16, generator=generator)
    bits.add_(noise).bitwise_and_(BFLOAT16_BITS)
    weight.copy_(exact)
