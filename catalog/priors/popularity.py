"""How often every item was taken."""

from __future__ import annotations

import numpy as np

from catalog.priors.events import TrainingEvents

__all__ = ["fit"]


def fit(events: TrainingEvents) -> np.ndarray:
    """The weights of every item's events together: float64 [N]. It is a score for every question."""
    return np.bincount(events.item_E, events.weight_E, minlength=events.items).astype(np.float64)
