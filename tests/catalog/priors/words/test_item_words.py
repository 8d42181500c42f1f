"""Which words of a query items have, against the same written out with loops."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from catalog.priors import kernels
from catalog.priors.words import WORD_FEATURES, analyzer, words_of
from catalog.priors.words.item_words import ItemWords

ALPHABET = ("axe", "boot", "lamp", "tent", "zip")
SPLIT = analyzer(None)
texts = st.lists(st.lists(st.sampled_from(ALPHABET), max_size=5).map(" ".join), min_size=1, max_size=6)
readings = st.dictionaries(st.sampled_from([*ALPHABET, "unknown"]), st.sampled_from([0.4, 0.8, 1.0]), max_size=3)


@given(texts, st.lists(readings, max_size=5), st.data())
def test_what_an_item_covers_are_the_surest_readings_of_each_word(documents, asked, data):
    """Several words of a query may have a reading in common."""
    words = ItemWords({"text": documents}, SPLIT)
    item_C = np.array(data.draw(st.lists(st.integers(0, len(documents) - 1), max_size=6)), np.int64)
    found_CP = np.array(
        [
            [
                max((sure for word, sure in own.items() if word in words_of(SPLIT, documents[item])), default=0)
                for own in asked
            ]
            for item in item_C
        ]
    ).reshape(len(item_C), len(asked))
    counts = [max([1, *(sum(w in d.split() for d in documents) for w in own)]) for own in asked]
    rarity_P = np.log1p(len(documents) / np.array(counts, float))
    value_CF = np.zeros((len(item_C), len(WORD_FEATURES)))
    read = words.read(asked)
    kernels.compare_words(
        *(words.slot_N, words.bounds_SB, words.word_W),
        *(read.number_Q, read.place_Q, read.weight_Q, read.rarity_P, read.digit_P),
        *(item_C, value_CF),
    )
    expected = found_CP @ rarity_P / max(rarity_P.sum(), 1e-9)
    np.testing.assert_allclose(value_CF[:, WORD_FEATURES.index("covered")], expected, atol=1e-9)


@given(texts, st.lists(readings, max_size=12), st.lists(st.integers(0, 5), max_size=3))
def test_items_match_that_have_a_reading_of_each_word(documents, asked, changed):
    """Also after some were changed; more than eight words are more bits than a byte has."""
    words = ItemWords({"title": documents, "text": documents}, SPLIT)
    for item in (item for item in changed if item < len(documents)):
        documents = [*documents[:item], "lamp zip", *documents[item + 1 :]]
        words = words.with_items(np.array([item]), {"text": ["lamp zip"]}, [])
    match_N = kernels.matching_words(*(words.slot_N, words.bounds_SB, words.word_W), *words.bits(asked))
    has = [[not own.keys().isdisjoint(words_of(SPLIT, document)) for own in asked] for document in documents]
    assert match_N.tolist() == [2 if asked and all(row) else int(any(row)) for row in has]
