"""Item-kNN: items that the same people took (Sarwar et al., WWW 2001; shrinkage as in Bell and Koren, KDD Cup 2007).

U users, N items, Q questions, B items of a block.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from catalog.priors.events import TrainingEvents, recent_items, takers

__all__ = ["ItemKnnSettings", "fit", "score"]

BLOCK = 2048
"""Items whose neighbours are counted at a time, which bounds the memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemKnnSettings:
    """How neighbours are found, and how a history asks them.

    neighbours: how many are kept of every item.
    shrinkage: what is added to the denominator of the cosine, against chance among items that few people took.
    last, decay: how many items of a history ask, and the weight of each against the one after it.
    """

    neighbours: int = 100
    shrinkage: float = 0.0
    last: int = 5
    decay: float = 0.7


def fit(events: TrainingEvents, settings: ItemKnnSettings) -> sp.csr_matrix:
    """The nearest neighbours of every item: float64 [N, N], a row for each item, 0 for all others and for itself.

    Two items are as alike as people who took both, divided by the root of the product of people who took either, plus
    the shrinkage; people count what `TrainingEvents.taken` says.
    """
    taken_UN = events.taken()
    takers_NU = taken_UN.T.tocsr()
    root_N = np.sqrt(takers(taken_UN))
    blocks = [sp.csr_matrix((0, events.items))]
    for start in range(0, events.items, BLOCK):
        both_BN = takers_NU[start : start + BLOCK] @ taken_UN
        row = start + np.repeat(np.arange(both_BN.shape[0]), np.diff(both_BN.indptr))
        both_BN.data /= root_N[row] * root_N[both_BN.indices] + settings.shrinkage
        both_BN.data[both_BN.indices == row] = 0
        blocks.append(strongest(both_BN, settings.neighbours))
    return sp.csr_matrix(sp.vstack(blocks))


def score(neighbours_NN: sp.csr_matrix, histories: Sequence[np.ndarray], settings: ItemKnnSettings) -> sp.csr_matrix:
    """The score of every item for every history: float64 [Q, N].

    histories: the item numbers of each history, int64, oldest first.
    """
    asked_QN = recent_items(histories, neighbours_NN.shape[0], last=settings.last, decay=settings.decay)
    return sp.csr_matrix(asked_QN @ neighbours_NN)


def strongest(weights_BN: sp.csr_matrix, count: int) -> sp.csr_matrix:
    """The matrix with only the `count` largest weights of each row, of equal ones those of the first columns."""
    weights_BN.eliminate_zeros()
    weights_BN.sort_indices()
    kept = [
        start + np.sort(np.argsort(-weights_BN.data[start:stop], kind="stable")[:count])
        for start, stop in zip(weights_BN.indptr[:-1], weights_BN.indptr[1:], strict=True)
    ]
    starts = np.r_[0, np.cumsum([len(places) for places in kept])]
    places = np.concatenate(kept) if kept else np.empty(0, np.int64)
    return sp.csr_matrix((weights_BN.data[places], weights_BN.indices[places], starts), shape=weights_BN.shape)
