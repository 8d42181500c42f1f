"""Relevance: how likely each item of an answer is the one that the question wants, as its bundle learned it.

It is null where nothing was learned: in bundles of before, of few events, and of shops that nobody trained a model for.
Probabilities that were measured on another shop's people would be a promise that nobody has checked.
"""

from __future__ import annotations

from collections.abc import Sequence

from catalog.search.calibration import TaskCalibration, relevances
from server.retrieval.priors.guided_by import GuidedBy

__all__ = ["relevances_of"]


def relevances_of(
    scores: Sequence[float], calibration: TaskCalibration, guided_by: GuidedBy | None
) -> list[float] | list[None]:
    """Of each score. guided_by: what guided the ranking; None for the model alone."""
    own = calibration.model if guided_by is None else calibration.guided
    if own is None:
        return [None] * len(scores)
    if guided_by is None:
        return relevances(scores, 0.0, own)
    return relevances(scores, guided_by.rivals, own, nothing_fits=guided_by.fit == "none")
