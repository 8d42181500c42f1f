"""Clicks against the same written out with loops."""

from functools import partial
from math import log, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.priors import clicks, words
from catalog.priors.clicks import ClickSettings
from catalog.priors.events import NO_QUERY
from catalog.text.prompts import clean_text
from tests.catalog.priors.worlds import TEXTS, training_events

split = partial(words.words_of, words.analyzer("english"))


@given(training_events(), st.sampled_from([0.0, 0.5]), st.sampled_from([0.0, 0.3]))
def test_clicks_add_same_and_similar_queries(events, same_words, shared_words):
    taken = {}
    for item, query in zip(events.item_E.tolist(), events.query_E.tolist(), strict=True):
        if query != NO_QUERY:
            counts = taken.setdefault(clean_text(events.texts[query]), {})
            counts[item] = counts.get(item, 0) + 1
    with_word = [word for text in taken for word in split(text)]

    def rarity(word):
        return log(1 + len(taken) / with_word.count(word)) if word in with_word else log(1 + max(len(taken), 1))

    def length(of):
        return sqrt(sum(rarity(word) ** 2 for word in of))

    def alike(query, other):
        if clean_text(query) == other:
            return 1.0
        one, two = split(query), split(other)
        if not set(one) & set(two):
            return 0.0
        if set(one) == set(two):
            return same_words
        cosine = sum(rarity(word) ** 2 for word in set(one) & set(two)) / length(one) / length(two)
        return shared_words * cosine**2

    queries = [*TEXTS, "RED  TENT", "a green tent", "", "unknown"]
    expected = [
        [
            sum(alike(q, other) * log(1 + counts.get(item, 0)) for other, counts in taken.items())
            for item in range(events.items)
        ]
        for q in queries
    ]
    settings = ClickSettings(same_words=same_words, shared_words=shared_words, sharpness=2)
    np.testing.assert_allclose(
        clicks.score(clicks.fit(events, split), queries, settings).toarray(), expected, atol=1e-9
    )


@pytest.mark.parametrize("query", ["", "!!!", "\x00", "tent " * 5_000, "é" * 10_000])
def test_a_query_of_any_kind_is_answered(query):
    from tests.catalog.priors.test_neighbours import world

    events = world(1, 3, np.zeros(2, np.int64), np.array([0, 2]))
    assert not clicks.score(clicks.fit(events, split), [query], ClickSettings()).toarray().any()
