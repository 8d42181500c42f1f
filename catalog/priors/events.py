"""Training events as flat arrays, and histories as rows of a sparse matrix, which all sources are made from.

U users, N items, E events of all users together, Q questions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

__all__ = ["NO_QUERY", "TrainingEvents", "newest_distinct", "places_within", "recent_items", "takers"]

NO_QUERY = -1


@dataclass(frozen=True, slots=True)
class TrainingEvents:
    """Events grouped by user, each user's oldest first.

    users, items: how many there are; an item may have no event.
    user_E, item_E: int64, the user and the item of every event.
    query_E: int64, the number in `texts` of the query that led to the event, or NO_QUERY.
    texts: the queries.
    until: the time of the newest event, Unix ms; 0 where there is none or nobody knows.
    weights: float64 [E], what every event counts (`catalog.data.event_weights`); None for 1.
    """

    users: int
    items: int
    user_E: np.ndarray
    item_E: np.ndarray
    query_E: np.ndarray
    texts: Sequence[str]
    until: int = 0
    weights: np.ndarray | None = None

    @property
    def weight_E(self) -> np.ndarray:
        """What every event counts: float64 [E]."""
        return np.ones(len(self.item_E)) if self.weights is None else self.weights

    def taken(self) -> sp.csr_matrix:
        """Who took what: float64 [U, N], the root of the greatest weight of a user's events with an item.

        So the squares of an item's column add up to the weights of those who took it, and the products of two columns
        to the geometric means of the weights; where all weigh 1, these are the numbers of people who took one and both.
        """
        _, place_E = np.unique(self.user_E * self.items + self.item_E, return_inverse=True)
        most_P = np.zeros(int(place_E.max(initial=-1)) + 1)
        np.maximum.at(most_P, place_E, self.weight_E)
        first_P = np.zeros(len(most_P), np.int64)
        first_P[place_E] = np.arange(len(place_E))
        cells = (self.user_E[first_P], self.item_E[first_P])
        return sp.csr_matrix((np.sqrt(most_P), cells), shape=(self.users, self.items))


def takers(taken_UN: sp.csr_matrix) -> np.ndarray:
    """The weights of those who took every item, float64 [N]; how many they are, where all weigh 1.

    taken_UN: as `TrainingEvents.taken` gives it.
    """
    weight_N = np.bincount(taken_UN.indices, taken_UN.data**2, minlength=taken_UN.shape[1])
    return np.asarray(weight_N, np.float64)


def recent_items(histories: Sequence[np.ndarray], items: int, *, last: int, decay: float) -> sp.csr_matrix:
    """The newest distinct items of every history: float64 [Q, N], 1 for the newest, `decay` times less for each before.

    An item that stands in a history several times counts once, where it stands last.

    histories: the item numbers of each history, int64, oldest first.
    last: how many items of a history count.
    """
    newest = [newest_distinct(history_W, last) for history_W in histories]
    lengths_Q = np.array([len(found) for found in newest], dtype=np.int64)
    columns = np.concatenate(newest) if newest else np.empty(0, np.int64)
    ages = np.concatenate([np.arange(length) for length in lengths_Q]) if newest else np.empty(0, np.int64)
    starts = np.r_[0, np.cumsum(lengths_Q)]
    return sp.csr_matrix((decay**ages, columns, starts), shape=(len(histories), items))


def newest_distinct(history_W: np.ndarray, last: int) -> np.ndarray:
    """The last distinct items of a history, newest first: int64 [last or fewer]."""
    return np.array(list(dict.fromkeys(history_W[::-1].tolist()))[:last], dtype=np.int64)


def places_within(begin_R: np.ndarray, end_R: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All places from each begin up to its end, one range after the other, and the range of each: int64."""
    length_R = (end_R - begin_R).astype(np.int64)
    owner = np.repeat(np.arange(len(length_R)), length_R)
    return np.arange(len(owner)) + np.repeat(begin_R - (np.cumsum(length_R) - length_R), length_R), owner
