"""Which words of a query items have, against the same written out with loops."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from catalog.priors.words import analyzer, words_of
from catalog.priors.words.item_words import ItemWords

ALPHABET = ("axe", "boot", "lamp", "tent", "zip")
SPLIT = analyzer(None)
texts = st.lists(st.lists(st.sampled_from(ALPHABET), max_size=5).map(" ".join), min_size=1, max_size=6)
readings = st.dictionaries(st.sampled_from([*ALPHABET, "unknown"]), st.sampled_from([0.4, 0.8, 1.0]), max_size=3)


@given(texts, st.lists(readings, max_size=5), st.data())
def test_matches_are_the_surest_reading_of_each_word(documents, asked, data):
    """Several words of a query may have a reading in common."""
    words = ItemWords({"title": documents}, SPLIT)
    item_C = np.array(data.draw(st.lists(st.integers(0, len(documents) - 1), max_size=6)), np.int64)
    expected = [
        [
            max((sure for word, sure in own.items() if word in words_of(SPLIT, documents[item])), default=0)
            for own in asked
        ]
        for item in item_C
    ]
    found_CP = words.matches(words.read(asked), "title", item_C)
    np.testing.assert_array_equal(found_CP, np.array(expected, float).reshape(len(item_C), len(asked)))
