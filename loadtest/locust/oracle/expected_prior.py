"""What guides the searches of a bundle, worked out from its files, so that a guided score can be checked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from catalog.bundle.bundle import Bundle, open_bundle
from catalog.bundle.manifest import MANIFEST
from catalog.priors.weights import prior_of
from catalog.text.prompts import Task

__all__ = ["ExpectedPrior"]


class ExpectedPrior:
    """The priors of a bundle as published, before any event and any change of its items."""

    def __init__(self, bundle: Bundle) -> None:
        self._items = bundle.items
        self._priors = bundle.priors
        self._weights = bundle.prior_weights

    @classmethod
    def beside(cls, items: Path) -> ExpectedPrior | None:
        """Of the bundle that this file is in; None where it is in none, or in one that has no priors."""
        folder = items.resolve().parent.parent
        if not (folder / MANIFEST).is_file():
            return None
        bundle = open_bundle(folder, verify=False)
        return cls(bundle) if bundle.has_priors else None

    def score(self, task: Task, text: str | None, history: Sequence[str], item_id: str, logp: float) -> float:
        """The guided score of an item.

        text: as the model read it; None for a recommendation.
        history: ids, oldest first.
        logp: the model's log-probability of the item.
        """
        rows = [row for item in history if (row := self._items.row_of(item)) is not None]
        prior = prior_of(self._priors.candidates(text, np.array(rows, np.int64)), self._weights[task])
        row = self._items.row_of(item_id)
        if row is None:  # newer than the bundle
            return prior.model_weight * logp
        place = int(np.searchsorted(prior.leaves, row))
        listed = place < len(prior.leaves) and prior.leaves[place] == row
        said = prior.values[place] if listed else prior.static_weight * self._priors.popularity_N[row]
        return prior.model_weight * logp + float(said)
