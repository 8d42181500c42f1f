"""Number types, rounding and random numbers of the optimiser.

Bases, moments and updates are float32, or float64 for float64 weights. A bfloat16 weight has eight significant bits,
and at usual learning rates one step changes it by a hundredth of the last of them. Rounded to nearest, most such steps
would vanish; rounded stochastically they would add up, beneath a noise larger than they are, much of it in the
protected space. So each bfloat16 weight has a remainder of 16 bits beside it: the two together are a float32 number, to
which updates are added. The weight is that number rounded to nearest, and no rounding is added to an earlier one.

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

__all__ = ["add_exactly_", "compute_dtype", "exact_value", "full_precision", "generator_for", "make_remainder"]

BITS = 16  # of a bfloat16, and so of what a float32 has beyond it
HALF = 1 << (BITS - 1)


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


def make_remainder(weight: Tensor) -> Tensor | None:
    """The remainder of a bfloat16 weight, int16 zeros of its shape; None for a weight of another type.

    The bits of the exact float32 value are those of the weight, as the upper half, plus the remainder.
    """
    return torch.zeros_like(weight, dtype=torch.int16) if weight.dtype == torch.bfloat16 else None


def exact_value(weight: Tensor, remainder: Tensor | None) -> Tensor:
    """A copy of the exact value of a weight: float32 with a remainder, and of the weight's own type without one."""
    if remainder is None:
        return weight.clone()
    bits = weight.view(torch.int16).to(torch.int32).bitwise_left_shift_(BITS).add_(remainder)
    return bits.view(torch.float32)


def add_exactly_(weight: Tensor, remainder: Tensor | None, update: Tensor) -> None:
    """Adds an update to the exact value of a weight, and changes weight and remainder in place.

    remainder: what `make_remainder` made for the weight.
    update: a tensor of the weight's shape, in the weight's compute type.
    """
    if remainder is None:
        weight.add_(update)
        return
    bits = exact_value(weight, remainder).add_(update).view(torch.int32)
    upper = (bits + HALF).bitwise_right_shift_(BITS)  # rounded to nearest
    weight.view(torch.int16).copy_(upper)
    remainder.copy_(bits.sub_(upper.bitwise_left_shift_(BITS)))
