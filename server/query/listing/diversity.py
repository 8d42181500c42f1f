"""Which of the best items differ most from each other: maximal marginal relevance.

J. Carbonell and J. Goldstein, "The use of MMR, diversity-based reranking for reordering documents and producing
summaries", SIGIR 1998. Item by item, the one comes next for which

    (1 - diversity) * relevance - diversity * likeness

is greatest, and of equals the better one. `relevance` is the score, with the best of the pool at 1 and the worst at 0.
`likeness` is the greatest to any item before it on the page: the share of the codes of the two identifiers that are
equal from the front. Identifiers are made from what items are and are had by every item, a new one too.

Shapes: P items of the pool, L codes of an identifier.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["MIN_POOL", "POOL_FACTOR", "varied"]

POOL_FACTOR = 5
MIN_POOL = 50
"""Of the best items, POOL_FACTOR for each one wanted, and so many at least, are chosen from."""


def varied(scores: Sequence[float], codes_PL: NDArray[np.int64], diversity: float, k: int) -> list[int]:
    """The places of at most k items of a pool, in the order of the page. scores: of each, the best first."""
    score_P = np.array(scores, np.float64)
    spread = np.ptp(score_P) if len(score_P) > 0 else 0.0
    relevance_P = (score_P - score_P.min()) / spread if spread > 0 else np.zeros(len(score_P))
    likeness_P, left_P = np.zeros(len(score_P)), np.ones(len(score_P), np.bool_)
    chosen: list[int] = []
    while len(chosen) < min(k, len(score_P)):
        gain_P = np.where(left_P, (1 - diversity) * relevance_P - diversity * likeness_P, -np.inf)
        chosen.append(int(gain_P.argmax()))
        left_P[chosen[-1]] = False
        same_PL = np.logical_and.accumulate(codes_PL == codes_PL[chosen[-1]], axis=1)
        likeness_P = np.maximum(likeness_P, same_PL.mean(axis=1))
    return chosen
