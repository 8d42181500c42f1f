"""The next kinds: of which categories and brands items are that people take within a few steps after an item.

They say what transitions say, of items that too few people took for their own to be counted: after a tent people take
sleeping bags, whichever these are.

N items, K kinds, of which the last is that of items without one, C candidates.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from catalog.priors.events import TrainingEvents, newest_distinct
from catalog.priors.neighbours import transitions

__all__ = ["NEXT_KINDS", "NextKinds", "fit", "known_kinds"]

NEXT_KINDS = ("next_category", "next_brand")
"""The names of the features: logarithms, seldom over 5."""
SETTINGS = transitions.TransitionSettings(window=5, step=0.7, last=5, decay=0.7)
WEIGHTS = SETTINGS.decay ** np.arange(SETTINGS.last)
DOUBT = 20.0
"""Steps at the usual shares that are added to those after every kind."""
ITEM_DOUBT = 5.0
"""Steps at the shares of its kind that are added to those after every item."""
BEST_KINDS = 3
BEST_ITEMS = 40
"""Of each of the likeliest kinds, the items that most people took are candidates."""


def fit(events: TrainingEvents, kind_N: NDArray[np.int32], kinds: int) -> sp.csr_matrix:
    """How often items of every kind were taken after each item, later steps counting less: float32 [N, K].

    kind_N: the kind of each item, below `kinds`.
    """
    of_kind_NK = sp.csr_matrix((np.ones(len(kind_N)), (np.arange(len(kind_N)), kind_N)), shape=(len(kind_N), kinds))
    return sp.csr_matrix(transitions.count(events, SETTINGS) @ of_kind_NK, dtype=np.float32)


def known_kinds(kind_N: NDArray[np.int32], known: int) -> NDArray[np.int32]:
    """The kinds as they are counted: one of their own for items that have none, and then one for all new ones.

    kind_N: -1 for none.
    known: how many there were when events were counted.
    """
    return np.where(kind_N < 0, known, np.where(kind_N >= known, known + 1, kind_N)).astype(np.int32)


@dataclass(frozen=True, slots=True, eq=False)
class NextKinds:
    """What was counted, and the kinds of today's items.

    after_NK, after_KK: how often items of a kind were taken after an item, and after the items of a kind.
    log_KK: how much likelier than usual the latter make a kind, of its values: float64.
    usual_K: the share of events that each kind has.
    best: the items of each kind that most people took, int64.
    kind_N: the kind of each item; of a new kind nothing is known.
    """

    after_NK: sp.csr_matrix
    after_KK: sp.csr_matrix
    log_KK: NDArray[np.float64]
    usual_K: NDArray[np.float64]
    best: tuple[NDArray[np.int64], ...]
    kind_N: NDArray[np.int32]

    @classmethod
    def of(
        cls, after_NK: sp.csr_matrix, events_N: NDArray[np.float64], kind_N: NDArray[np.int32], kinds: int
    ) -> NextKinds:
        """
        after_NK: as `fit` gives it; it may have fewer columns than there are kinds.
        events_N: how many events each item has.
        kind_N: the kinds of the items with which it was fitted, below `kinds`.
        """
        items = after_NK.shape[0]
        after_NK = sp.csr_matrix(_parts(after_NK), shape=(items, kinds))
        of_kind_KN = sp.csr_matrix((np.ones(items), (kind_N, np.arange(items))), shape=(kinds, items))
        after_KK = sp.csr_matrix(of_kind_KN @ after_NK)
        usual_K = np.asarray(of_kind_KN @ events_N) + 1.0
        usual_K /= usual_K.sum()
        log_KK = np.log1p(after_KK.data / (DOUBT * usual_K[after_KK.indices]))
        best = []
        for kind in range(kinds):
            own = of_kind_KN.indices[of_kind_KN.indptr[kind] : of_kind_KN.indptr[kind + 1]].astype(np.int64)
            best.append(own[np.argsort(-events_N[own], kind="stable")[:BEST_ITEMS]])
        return cls(after_NK, after_KK, log_KK, usual_K, tuple(best), kind_N)

    def with_kinds(self, kind_N: NDArray[np.int32]) -> NextKinds:
        """After a change of items, which this does not see."""
        return replace(self, kind_N=kind_N)

    def evidence(self, history_H: NDArray[np.int64]) -> NDArray[np.float64]:
        """The logarithm of how much likelier than usual each kind is after a history: float64 [K + 1], 0 for a new one.

        history_H: the items of the history, int64, oldest first.
        """
        from catalog.priors import kernels  # not above: it loads numba, before which vLLM's process must have started

        newest = newest_distinct(history_H, SETTINGS.last)
        counted = *_parts(self.after_NK), *_parts(self.after_KK), self.log_KK, self.usual_K, self.kind_N
        return kernels.kind_evidence(*counted, newest, WEIGHTS[: len(newest)], DOUBT, ITEM_DOUBT)

    def best_items(self, evidence_K: NDArray[np.float64]) -> NDArray[np.int64]:
        """The items that most people took of the likeliest kinds."""
        likeliest = np.argsort(-evidence_K[:-1], kind="stable")[:BEST_KINDS]
        return np.concatenate([np.empty(0, np.int64), *(self.best[kind] for kind in likeliest.tolist())])

    def score(self, evidence_K: NDArray[np.float64], item_C: NDArray[np.int64]) -> NDArray[np.float64]:
        """The evidence for the kind of each candidate: float64 [C]."""
        return evidence_K[self.kind_N[item_C]]


def _parts(matrix: sp.csr_matrix) -> tuple[Any, Any, Any]:
    return matrix.data, matrix.indices, matrix.indptr
