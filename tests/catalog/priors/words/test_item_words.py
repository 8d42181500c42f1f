"""Which words of a query items have, against the same written out with loops."""

from collections.abc import Mapping, Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from catalog.priors import kernels
from catalog.priors.words import WORD_FEATURES, analyzer, words_of
from catalog.priors.words.item_words import ItemWords

ALPHABET = ("axe", "boot", "lamp", "tent", "zip")
SPLIT = analyzer(None)
sentences = st.lists(st.sampled_from(ALPHABET), max_size=5).map(" ".join)
texts = st.lists(sentences, min_size=1, max_size=6)
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


def has(document: str, asked: Sequence[Mapping[str, float]]) -> int:
    """What `ItemWords.matching` says of a text, by its words."""
    own = [not readings.keys().isdisjoint(words_of(SPLIT, document)) for readings in asked]
    return 2 if asked and all(own) else int(any(own))


@given(
    texts, st.lists(readings, max_size=12), st.lists(st.tuples(st.integers(0, 7), sentences), max_size=12), st.data()
)
def test_items_match_that_have_a_reading_of_each_word(documents, asked, changes, data):
    """Also after each change, whether their states are listed, looked through or listed anew, and whether or not
    somebody asked before; more than eight words are more bits than a byte has."""
    words = ItemWords({"title": documents, "text": documents}, SPLIT)
    present = dict(enumerate(documents))
    for wanted, text in changes:
        if data.draw(st.booleans()):
            words.matching(asked)
        earlier, before = words, words.matching(asked).tolist() if data.draw(st.booleans()) else None
        item = min(wanted, len(words.slot_N))  # a new one has the next number
        gone = [item] if not text and item in present else []
        present[item] = "" if gone else text
        words = words.with_items(np.array([] if gone else [item], np.int64), {"text": [] if gone else [text]}, gone)
        assert before is None or earlier.matching(asked).tolist() == before
    assert words.matching(asked).tolist() == [has(present[item], asked) for item in range(len(words.slot_N))]


@given(st.lists(sentences, min_size=1, max_size=4), st.lists(readings, min_size=1, max_size=3))
def test_items_that_came_after_their_words_were_listed_match(later, asked):
    """More than are looked through, with words that nobody had."""
    documents = ["axe boot"] * 20
    words = ItemWords({"text": documents}, SPLIT)
    words.matching(asked)
    for round_ in range(3):
        new = [later[place % len(later)] for place in range(600)]
        item_K = np.arange(len(documents), len(documents) + len(new))
        words, documents = words.with_items(item_K, {"text": new}, []), [*documents, *new]
        expected = {document: has(document, asked) for document in {*documents}}
        assert words.matching(asked).tolist() == [expected[document] for document in documents], round_
