"""What priors say for one question, as threads ask them.

Shapes: N items of a snapshot, H items of a history, C items taken together with these, I impressions.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from catalog.bundle.bundle import Bundle
from catalog.errors import PriorsError
from catalog.priors.live.events import LiveEvents
from catalog.priors.live.shown import NOTHING_SHOWN, SHOWN, shown
from catalog.priors.priors import FEATURES, Priors
from catalog.priors.weights import PriorWeights
from catalog.priors.words import NO_WORDINGS, Wordings
from catalog.text.prompts import TASKS, Task
from server.retrieval.priors.guided_by import GuidedBy, guided_by
from server.retrieval.priors.state import PriorState, by_leaf

__all__ = ["SHOWN_COLUMN", "make_prior", "match_words", "open_priors", "taken_together"]

SHOWN_COLUMN = FEATURES.index(SHOWN)


def open_priors(bundle: Bundle) -> tuple[Priors, Mapping[Task, PriorWeights]]:
    """The priors of a bundle and their weights, asked a few times: first questions are slow. Raises PriorsError."""
    priors, weights = bundle.priors, bundle.prior_weights
    title, leaf_N = bundle.items.title(0), np.arange(len(bundle.items))
    state = PriorState(priors, leaf_N, leaf_N)
    try:
        for task, history in product(TASKS, ([], [0])):
            make_prior(priors, weights[task], title if task == "search" else None, history, state)
        match_words(priors, title, leaf_N)
    except Exception as error:
        raise PriorsError(f"the priors of {bundle.version} cannot be asked: {error!r}; publish it again") from error
    return priors, weights


def make_prior(
    priors: Priors,
    weights: PriorWeights,
    text: str | None,
    history: Sequence[int],
    state: PriorState,
    *,
    prefix: bool = True,
    wordings: Wordings = NO_WORDINGS,
    impressions: Sequence[tuple[int, int]] = (),
) -> GuidedBy:
    """What guides the search for one question; the parameters are those of `PriorSource.prior`."""
    history_H = state.serial_N[np.array(history, np.int64)]
    left = NOTHING_SHOWN
    if weights.feature_F[SHOWN_COLUMN] != 0:  # bundles of before there were impressions answer as they did
        leaf_I, time_I = np.array(impressions, np.int64).reshape(-1, 2).T
        left = shown(state.serial_N[leaf_I], time_I, int(1_000 * time.time()))
    candidates = priors.candidates(text, history_H, prefix=prefix, wordings=wordings, shown=left)
    return guided_by(priors, weights, candidates, history_H, state.serial_N, state.leaf_S)


def match_words(
    priors: Priors, text: str, serial_N: NDArray[np.int64], *, prefix: bool = True, wordings: Wordings = NO_WORDINGS
) -> NDArray[np.uint8]:
    """Of every leaf 2 where the item has all words of a text, 1 where it has some, else 0: uint8 [N]."""
    return by_leaf(priors.matching(text, prefix=prefix, wordings=wordings), serial_N)


def taken_together(live: LiveEvents, history: Sequence[int], state: PriorState) -> NDArray[np.float64]:
    """How much every item was taken by those who took items of a history, float64 [N], and 0 of these."""
    item_C, value_C = live.taken_together(state.serial_N[np.array(history, np.int64)])
    value_N = np.zeros(len(state.serial_N))
    known_C = item_C < len(state.leaf_S)
    leaf_C = state.leaf_S[item_C[known_C]]
    value_N[leaf_C[leaf_C >= 0]] = value_C[known_C][leaf_C >= 0]
    value_N[list(history)] = 0
    return value_N
