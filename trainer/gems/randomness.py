"""Random numbers that depend on nothing but the seed and what they are for.

A generator is made anew for each use from (seed, purpose, step, layer). So there is no generator state to save, a
skipped step repeats with the same numbers, and every process of a parallel run draws the same ones.
"""

from __future__ import annotations

import hashlib

import torch

__all__ = ["generator_for"]


def generator_for(seed: int, *purpose: str | int, device: torch.device) -> torch.Generator:
    """A generator on `device`, seeded by the seed and the purpose."""
    digest = hashlib.blake2b(repr((seed, *purpose)).encode(), digest_size=8).digest()
    return torch.Generator(device=device).manual_seed(int.from_bytes(digest, "big") >> 1)
