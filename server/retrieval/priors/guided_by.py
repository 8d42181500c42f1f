"""What guided a search, kept until the answer says which source did how much for each of its items.

Shapes: N items of a snapshot, C candidates, K items of an answer, F features, H items of a history, T texts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from catalog.priors.priors import FEATURES, Candidates, Fit, PriorPart, Priors
from catalog.priors.weights import POPULARITY, PriorWeights, prior_of_values, values_of
from catalog.priors.words import Wordings
from catalog.search.calibration import rivals_of
from catalog.search.guidance import Prior

__all__ = ["GuidedBy", "guided_by"]

COVERED = FEATURES.index("covered")


@dataclass(frozen=True, slots=True, eq=False)
class GuidedBy:
    """What guides the search for a question.

    prior: as the search takes it.
    fit: how well the catalog fits what was typed; None for a recommendation.
    rivals: how strong all listed items but the best are together (`catalog/search/calibration.py`).
    priors, weights: what it was made by.
    said: what the sources say of the candidates, whose numbers are leaves here.
    serial_N: the serial number of the item of every leaf, int64.
    history_H: the serial numbers of the history, int64, oldest first.
    """

    prior: Prior
    fit: Fit | None
    rivals: float
    priors: Priors
    weights: PriorWeights
    said: Candidates
    serial_N: NDArray[np.int64]
    history_H: NDArray[np.int64]

    @property
    def words(self) -> Sequence[Mapping[str, float]]:
        """The readings of each word that was typed."""
        return self.said.words or ()

    @property
    def seconds(self) -> Mapping[PriorPart, float]:
        """How long each part of it took."""
        return self.said.seconds

    def features(self, leaves: Sequence[int]) -> NDArray[np.float64]:
        """What the sources say of some items, float64 [K, F]; of those that none lists only how popular they are."""
        leaf_K = np.array(leaves, np.int64)
        value_KF = np.zeros((len(leaf_K), len(FEATURES)))
        value_KF[:, POPULARITY] = self.priors.live.popularity(self.serial_N[leaf_K])
        place_K, listed_K = self._places(leaf_K)
        value_KF[listed_K] = self.said.value_CF[place_K[listed_K]]
        return value_KF

    def of_texts(
        self, query: str, texts: Sequence[str], *, prefix: bool, wordings: Wordings
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """g of texts that are no items, float64 [T], and whether each has any word of the query, bool [T]. For threads.

        prefix, wordings: as in `Priors.candidates`.
        """
        value_TF = self.priors.of_texts(query, texts, prefix=prefix, wordings=wordings)
        return value_TF @ self.weights.feature_F, value_TF[:, COVERED] > 0

    def is_listed(self, leaves: Sequence[int]) -> NDArray[np.bool_]:
        """Whether a source lists each of some items, bool [K]."""
        return self._places(np.array(leaves, np.int64))[1]

    def _places(self, leaf_K: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Where the candidates have some leaves, and whether they do."""
        item_C = self.said.item_C
        if len(item_C) == 0:
            return np.zeros_like(leaf_K), np.zeros(len(leaf_K), np.bool_)
        place_K = np.minimum(np.searchsorted(item_C, leaf_K), len(item_C) - 1)
        return place_K, item_C[place_K] == leaf_K


def guided_by(
    priors: Priors,
    weights: PriorWeights,
    candidates: Candidates,
    history_H: NDArray[np.int64],
    serial_N: NDArray[np.int64],
    leaf_S: NDArray[np.int64],
) -> GuidedBy:
    """What guides a search, of what the sources say about items by their serial numbers.

    leaf_S: the leaf of every serial number, int64.
    """
    value_C, leaf_C = values_of(candidates, weights), leaf_S[candidates.item_C]
    said, rivals = replace(candidates, item_C=leaf_C), rivals_of(value_C)
    if (leaf_C[1:] < leaf_C[:-1]).any():  # where items came since, the order of leaves is not that of serial numbers
        order_C = np.argsort(leaf_C)
        value_C = value_C[order_C]
        said = replace(candidates, item_C=leaf_C[order_C], value_CF=candidates.value_CF[order_C])
    guiding = prior_of_values(said.item_C, value_C, weights)
    fit = candidates.fit if candidates.words is not None else None
    return GuidedBy(guiding, fit, rivals, priors, weights, said, serial_N, history_H)
