"""Transitions: what people took within a few steps after an item (the sequential rules of Ludewig and Jannach, 2018).

Their weights are divided by the roots of both items' counts, so that popular items do not follow everything.

N items, E events, Q questions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from catalog.priors.events import TrainingEvents, recent_items

__all__ = ["TransitionSettings", "count", "fit", "score", "steps"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TransitionSettings:
    """How transitions are counted, and how a history asks them.

    window: how many steps after an item count; `step` is the weight of each against the one before it.
    backward: the weight of what came before an item, against what came after it.
    shrinkage: what is added to both counts, against chance among rare items.
    last, decay: how many items of a history ask, and the weight of each against the one after it.
    """

    window: int = 5
    step: float = 0.7
    backward: float = 0.0
    shrinkage: float = 0.0
    last: int = 5
    decay: float = 0.6


def fit(events: TrainingEvents, settings: TransitionSettings) -> sp.csr_matrix:
    """The weight of every item after every other: float64 [N, N], rows are the earlier items, 0 for an item itself."""
    follows_NN = count(events, settings)
    both_NN = follows_NN + settings.backward * follows_NN.T
    count_N = np.maximum(steps(events), 1)
    scale_NN = sp.diags(1 / np.sqrt(count_N + settings.shrinkage))
    return sp.csr_matrix(scale_NN @ both_NN @ scale_NN)


def count(events: TrainingEvents, settings: TransitionSettings) -> sp.csr_matrix:
    """How often every item was taken after every other, later steps less: float64 [N, N], 0 for an item itself.

    Several events in a row of one user with one item are one step, which weighs what the weightiest of them does. A
    transition counts the weight of the step that it leads to.
    """
    first_E = _first_of_step(events)
    weight_S = _weights_of_steps(events, first_E)
    user_E, item_E = events.user_E[first_E], events.item_E[first_E]
    follows_NN = sp.csr_matrix((events.items, events.items))
    for distance in range(1, min(settings.window, len(item_E) - 1) + 1):
        earlier_E, later_E = item_E[:-distance], item_E[distance:]
        pair_E = (user_E[:-distance] == user_E[distance:]) & (earlier_E != later_E)
        weight = settings.step ** (distance - 1) * weight_S[distance:][pair_E]
        follows_NN = follows_NN + sp.csr_matrix((weight, (earlier_E[pair_E], later_E[pair_E])), shape=follows_NN.shape)
    return follows_NN


def steps(events: TrainingEvents) -> np.ndarray:
    """The weights of the steps that lead to every item: float64 [N]; how many they are, where all weigh 1."""
    first_E = _first_of_step(events)
    weight_S = _weights_of_steps(events, first_E)
    return np.bincount(events.item_E[first_E], weight_S, minlength=events.items).astype(np.float64)


def score(follows_NN: sp.csr_matrix, histories: Sequence[np.ndarray], settings: TransitionSettings) -> sp.csr_matrix:
    """The score of every item for every history: float64 [Q, N].

    histories: the item numbers of each history, int64, oldest first.
    """
    asked_QN = recent_items(histories, follows_NN.shape[0], last=settings.last, decay=settings.decay)
    return sp.csr_matrix(asked_QN @ follows_NN)


def _weights_of_steps(events: TrainingEvents, first_E: np.ndarray) -> np.ndarray:
    """What every step weighs: float64, one for each event that begins one."""
    starts = np.flatnonzero(first_E)
    return np.maximum.reduceat(events.weight_E, starts) if len(starts) else np.empty(0)


def _first_of_step(events: TrainingEvents) -> np.ndarray:
    """Which events begin a step: bool [E]."""
    first_E = np.ones(len(events.item_E), dtype=bool)
    first_E[1:] = (np.diff(events.item_E) != 0) | (np.diff(events.user_E) != 0)
    return first_E
