"""How many items are looked at together while identifiers are made, where a catalog has more than memory holds."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

__all__ = ["MAX_FITTED", "fitted", "pieces"]

MAX_FITTED = 1_000_000
"""Items from which embeddings and codebooks are fitted; of more, those that a seed draws."""
PIECE = 1 << 16
"""Items of a larger catalog whose vectors and distances are in memory at once."""


def fitted(items: int, seed: int) -> np.ndarray:
    """The numbers of the items that are fitted to, ascending, int64: all, or MAX_FITTED of them."""
    if items <= MAX_FITTED:
        return np.arange(items)
    return np.sort(np.random.default_rng(seed).choice(items, MAX_FITTED, replace=False))


def pieces(items: int) -> Iterator[slice]:
    """All items in pieces: in one where all are fitted to, so that nothing is rounded otherwise."""
    step = max(1, items) if items <= MAX_FITTED else PIECE
    for begin in range(0, items, step):
        yield slice(begin, min(begin + step, items))
