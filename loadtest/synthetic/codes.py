"""Random identifiers of items. Shapes: N items, L levels, C codes of a level."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["uniform_codes", "zipf_codes"]

OVERSAMPLING = 1.5


def uniform_codes(items: int, depth: int, size: int, seed: int) -> NDArray[np.int64]:
    """N distinct paths int64 [N, L], in random order, with uniformly distributed codes."""
    return _distinct_paths(np.full((depth, size), 1 / size), items, seed)


def zipf_codes(items: int, depth: int, size: int, seed: int) -> NDArray[np.int64]:
    """N distinct paths int64 [N, L], in random order: at every level the code of rank r has a weight of 1 / r.

    Ranks are shuffled at every level. As in real catalogs, popular prefixes have nearly every possible child.
    """
    weight_C = 1 / np.arange(1, size + 1)
    generator = np.random.default_rng([seed, depth, size])
    weights = np.stack([generator.permutation(weight_C / weight_C.sum()) for _ in range(depth)])
    return _distinct_paths(weights, items, seed)


def _distinct_paths(weight_LC: NDArray[np.float64], items: int, seed: int) -> NDArray[np.int64]:
    """Raises ValueError if there are not twice as many paths as items, because drawing the last few takes too long."""
    depth, size = weight_LC.shape
    if 2 * items > size**depth:
        raise ValueError(f"{items} items need twice as many paths, {size} codes at {depth} levels give {size**depth}")
    generator = np.random.default_rng(seed)
    number_N = np.empty(0, np.int64)
    while len(number_N) < items:
        draws = int(OVERSAMPLING * items)
        drawn = np.zeros(draws, np.int64)
        for weight_C in weight_LC:
            drawn = drawn * size + generator.choice(size, draws, p=weight_C)
        number_N = np.union1d(number_N, drawn)
    number_N = generator.choice(number_N, items, replace=False)
    place_L = size ** np.arange(depth - 1, -1, -1)
    codes_NL: NDArray[np.int64] = number_N[:, None] // place_L % size
    return codes_NL
