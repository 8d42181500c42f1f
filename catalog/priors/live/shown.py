"""Shown: what somebody was shown and left, each time the less the longer ago it was.

The feature of an item is log(1 + n) of the n times that it was shown to the user since the user last took it, divided
by log(1 + ENOUGH), so a weight of -log(1 + ENOUGH), about -3, makes an item 1 / (1 + n) times as likely as before. It
speaks of single items of single users and finds none: an item that no source lists is only as popular as before, less
what this takes.

I impressions, T events in which items were taken, S items, C candidates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["HALF_LIFE_MS", "MAX_IMPRESSIONS", "NOTHING_SHOWN", "SHOWN", "Shown", "shown", "unanswered"]

SHOWN = "shown"
"""The name of the feature, from 0 to 1."""
HALF_LIFE_MS = 7 * 86_400_000
"""An impression that is so old counts half as much as one of now."""
ENOUGH = 20.0
"""Impressions beyond which further ones count nothing."""
MAX_IMPRESSIONS = 128
"""Impressions of a user that count, the newest. So many of usual ids Redis keeps in one small block of memory
(`zset-max-listpack-entries`)."""


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """What one user was shown and left.

    item_S: int64, ascending.
    value_S: the feature of each, float32, above 0.
    """

    item_S: NDArray[np.int64]
    value_S: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.item_S)

    def of(self, present_N: NDArray[np.int32]) -> Shown:
        """That of items which are there. present_N: 0 for those that are gone."""
        here_S = self.item_S < len(present_N)
        here_S[here_S] = present_N[self.item_S[here_S]] != 0
        return Shown(self.item_S[here_S], self.value_S[here_S])


NOTHING_SHOWN = Shown(np.empty(0, np.int64), np.empty(0, np.float32))


def shown(item_I: NDArray[np.int64], time_I: NDArray[np.int64], now: int) -> Shown:
    """The feature at one moment, by the impressions that count.

    item_I, time_I: the item of each, and when it was, Unix ms.
    now: Unix ms; an impression of later counts as one of now.
    """
    if len(item_I) == 0:
        return NOTHING_SHOWN
    item_S, place_I = np.unique(item_I, return_inverse=True)
    count_S = np.bincount(place_I, 0.5 ** (np.maximum(now - time_I, 0) / HALF_LIFE_MS))
    return Shown(item_S, (np.log1p(np.minimum(count_S, ENOUGH)) / np.log1p(ENOUGH)).astype(np.float32))


def unanswered(
    item_I: NDArray[np.int64], time_I: NDArray[np.int64], item_T: NDArray[np.int64], time_T: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Which impressions of a user the user did not answer by taking the item then or later, bool [I].

    item_T, time_T: what the user took, and when, Unix ms.
    """
    taken_T, place_T = np.unique(item_T, return_inverse=True)
    last_P = np.full(len(taken_T) + 1, -1, np.int64)
    np.maximum.at(last_P, place_T, time_T)
    place_I = np.minimum(np.searchsorted(taken_T, item_I), max(len(taken_T) - 1, 0))
    was_taken_I = taken_T[place_I] == item_I if len(taken_T) else np.zeros(len(item_I), np.bool_)
    left_I: NDArray[np.bool_] = ~was_taken_I | (time_I > last_P[place_I])
    return left_I
