"""Clicks: what people took after the same query, and after queries with the same or some of the same words.

T texts of queries, N items, Q questions, V words.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from catalog.priors.events import NO_QUERY, TrainingEvents
from catalog.text.prompts import clean_text, cleaned_as_known

__all__ = ["ClickSettings", "Clicks", "count", "fit", "of_counts", "score"]

Words = Callable[[str], Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClickSettings:
    """How much queries that are not quite the same count, against 1 for the same query.

    same_words: the weight of queries with the same words, in any order and inflection.
    shared_words: the weight of all other queries with some of the words, times their cosine.
    sharpness: the power that the cosine is raised to.
    """

    same_words: float = 0.5
    shared_words: float = 0.2
    sharpness: float = 2.0


@dataclass(frozen=True, slots=True)
class Clicks:
    """What was taken after which query.

    taken_TN: log(1 + n) of the n events with an item after a query, float64.
    number_of: the number of each cleaned query, a row of `taken_TN`.
    word_TV: each query's words weighed by their rarity, rows of length 1, float64.
    column_of: the column of each word.
    rarity_V: log(1 + T / n) of the n queries with a word.
    words: what divides a query into distinct words.
    """

    taken_TN: sp.csr_matrix
    number_of: dict[str, int]
    word_TV: sp.csr_matrix
    column_of: dict[str, int]
    rarity_V: np.ndarray
    words: Words


def fit(events: TrainingEvents, words: Words) -> Clicks:
    """The clicks of these events.

    words: the distinct words of a query, such as `words_of` of `catalog.priors.words`.
    """
    return of_counts(*count(events), words)


def count(events: TrainingEvents) -> tuple[tuple[str, ...], sp.csr_matrix]:
    """The distinct cleaned queries, and the weights of the events with an item after each: float64 [T, N]."""
    searched_E = events.query_E != NO_QUERY
    asked = np.unique(events.query_E[searched_E])
    number_of: dict[str, int] = {}
    row_of_query = np.zeros(len(events.texts), np.int64)
    for query in asked.tolist():
        row_of_query[query] = number_of.setdefault(clean_text(events.texts[query]), len(number_of))
    row_E, item_E = row_of_query[events.query_E[searched_E]], events.item_E[searched_E]
    count_TN = sp.csr_matrix((events.weight_E[searched_E], (row_E, item_E)), shape=(len(number_of), events.items))
    count_TN.sum_duplicates()
    return tuple(number_of), count_TN


def of_counts(queries: Sequence[str], count_TN: sp.csr_matrix, words: Words) -> Clicks:
    """The clicks of events that are counted already.

    queries: the distinct cleaned queries.
    count_TN: how many events with an item came after each.
    """
    number_of = {query: number for number, query in enumerate(queries)}
    taken_TN = sp.csr_matrix(
        (np.log1p(count_TN.data.astype(np.float64)), count_TN.indices, count_TN.indptr), shape=count_TN.shape
    )
    column_of: dict[str, int] = {}
    columns = [[column_of.setdefault(word, len(column_of)) for word in words(text)] for text in number_of]
    rarity_V = np.log1p(len(number_of) / np.maximum(np.bincount(_joined(columns), minlength=len(column_of)), 1))
    word_TV = _unit_rows(columns, rarity_V)
    return Clicks(taken_TN, number_of, word_TV, column_of, rarity_V, words)


def score(clicks: Clicks, queries: Sequence[str], settings: ClickSettings) -> sp.csr_matrix:
    """The score of every item for every query: float64 [Q, N]; 0 where no query like it led to the item."""
    columns = [[clicks.column_of.get(word, -1) for word in clicks.words(query)] for query in queries]
    # A word that no query has makes a question less like every query, so it has a column here that is then dropped.
    rarity_V1 = np.append(clicks.rarity_V, np.log1p(max(len(clicks.number_of), 1)))
    word_QV = _unit_rows(columns, rarity_V1)[:, : len(clicks.rarity_V)]
    alike_QT = sp.csr_matrix(word_QV @ clicks.word_TV.T)
    same = alike_QT.data > 1 - 1e-9
    alike_QT.data = np.where(same, settings.same_words, settings.shared_words * alike_QT.data**settings.sharpness)
    return sp.csr_matrix(alike_QT.maximum(_same(clicks, queries)) @ clicks.taken_TN)


def _same(clicks: Clicks, queries: Sequence[str]) -> sp.csr_matrix:
    """1 where a query is the same: float64 [Q, T]."""
    found = [
        (row, number)
        for row, query in enumerate(queries)
        if (number := clicks.number_of.get(cleaned_as_known(query, clicks.number_of))) is not None
    ]
    rows, numbers = np.array(found, dtype=np.int64).reshape(-1, 2).T
    return sp.csr_matrix((np.ones(len(rows)), (rows, numbers)), shape=(len(queries), len(clicks.number_of)))


def _unit_rows(columns: Sequence[Sequence[int]], rarity_V: np.ndarray) -> sp.csr_matrix:
    """Rows of length 1 with the rarity of each row's words; a column of -1 is the last."""
    lengths = [len(row) for row in columns]
    column = _joined(columns) % max(len(rarity_V), 1)
    row = np.repeat(np.arange(len(columns)), lengths)
    norms = np.sqrt(np.bincount(row, rarity_V[column] ** 2, minlength=len(columns)))
    starts = np.r_[0, np.cumsum(lengths, dtype=np.int64)]
    return sp.csr_matrix((rarity_V[column] / norms[row], column, starts), shape=(len(columns), len(rarity_V)))


def _joined(columns: Sequence[Sequence[int]]) -> np.ndarray:
    return np.array([column for row in columns for column in row], dtype=np.int64)
