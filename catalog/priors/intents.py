"""Intents: of which category items were that people took after queries with a word.

It says what clicks say, of items that nobody has taken yet and of queries that nobody has typed: after `waterproof`
people take boots and jackets.

V words of queries, G categories, N items.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from catalog.priors.events import NO_QUERY, TrainingEvents

__all__ = ["Intents", "fit", "score"]

DOUBT = 5.0
"""Events at the usual shares of categories that are added to those of every word."""
ENOUGH = 20.0
"""Events from which on a word counts fully."""


@dataclass(frozen=True, slots=True, eq=False)
class Intents:
    """What each word says about categories.

    category_N: the category of each item, int64; no word says anything of one that came later.
    column_of: the row of each word.
    evidence_VG: log of how much likelier a category is after a query with the word, float32.
    """

    category_N: np.ndarray
    column_of: dict[str, int]
    evidence_VG: np.ndarray


def fit(events: TrainingEvents, category_N: np.ndarray, words: Callable[[str], Sequence[str]]) -> Intents:
    """The intents of these events.

    category_N: the category of each item, int64 from 0.
    words: the distinct words of a query.
    """
    categories = int(category_N.max(initial=-1)) + 1
    column_of: dict[str, int] = {}
    words_of_query = [[column_of.setdefault(w, len(column_of)) for w in words(text)] for text in events.texts]
    searched_E = events.query_E != NO_QUERY
    query_E, taken_E = events.query_E[searched_E], category_N[events.item_E[searched_E]]
    length_E = np.array([len(own) for own in words_of_query], np.int64)[query_E] if len(query_E) else query_E
    word = np.array([w for q in query_E.tolist() for w in words_of_query[q]], np.int64)
    pair = word * categories + np.repeat(taken_E, length_E)
    weight = np.repeat(events.weight_E[searched_E], length_E)
    count_VG = np.bincount(pair, weight, minlength=len(column_of) * categories).reshape(len(column_of), categories)
    total_V1 = count_VG.sum(1, keepdims=True)
    usual_G = np.bincount(category_N[events.item_E], events.weight_E, minlength=categories) + 1.0
    usual_G /= usual_G.sum()
    share_VG = (count_VG + DOUBT * usual_G) / (total_V1 + DOUBT)
    evidence_VG = np.log(share_VG / usual_G) * np.minimum(1, total_V1 / ENOUGH)
    return Intents(category_N, column_of, evidence_VG.astype(np.float32))


def score(intents: Intents, words: Sequence[str], item_C: np.ndarray) -> np.ndarray:
    """How much the words of a query speak for each item's category: float64 [C]."""
    rows = [column for word in words if (column := intents.column_of.get(word)) is not None]
    if not rows:
        return np.zeros(len(item_C))
    evidence_G1 = np.append(intents.evidence_VG[rows].sum(0), 0.0)
    return np.asarray(evidence_G1[np.minimum(intents.category_N[item_C], len(evidence_G1) - 1)])
