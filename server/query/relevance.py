"""Relevance: the score of an item as a share from 0 to 1, which people read more easily than a log-probability.

It is the item's share of exp(score) of all items that the engine ranked for this answer. A score is a log-probability
of the model, joined with a prior where the query is guided, and there is one whatever was asked for. A share says which
of these items is better, not how good they are: the best of bad items has a high one, and so does the first of the next
page. It is not calibrated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["relevances_of"]


def relevances_of(scores: Sequence[float]) -> list[float]:
    """exp(score) of each, divided by the sum of all. scores: however low."""
    if not scores:
        return []
    best = max(scores)
    weights = [math.exp(score - best) for score in scores]  # the best weighs 1, so that the sum is never 0
    total = math.fsum(weights)
    return [weight / total for weight in weights]
