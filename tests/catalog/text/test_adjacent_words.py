"""Sets of joined pairs, against sets of the standard library."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.text import adjacent_words
from catalog.text.adjacent_words import AdjacentWords, adjacent_in, adjacent_pieces

PAIRS = st.sets(st.text("ab", min_size=1, max_size=3), max_size=6)


@given(PAIRS, st.lists(PAIRS, max_size=4), st.booleans())
def test_pairs_are_a_set_that_grows(first: set[str], others: list[set[str]], merged: bool) -> None:
    expected, pairs = set(first), AdjacentWords(first)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(adjacent_words, "MAX_ADDED", 0 if merged else 9)
        for more in others:
            grown = pairs.with_pairs(AdjacentWords(more))
            assert (grown is pairs) == (more <= expected)
            expected |= more
            pairs = grown
    assert len(pairs) == len(expected)
    assert all((word in pairs) == (word in expected) for word in ["a", "b", "ab", "ba", "aab", "bb", "c", *expected])


@given(st.lists(st.none() | st.lists(st.sampled_from(["", "ray", "ban"]), max_size=4), max_size=4))
def test_pairs_of_many_texts_are_those_of_each(texts: list[list[str] | None]) -> None:
    expected = {pair for pieces in texts if pieces for pair in adjacent_pieces(pieces)}
    assert sorted(adjacent_in(pa.array(texts, pa.list_(pa.string())))) == sorted(expected)
