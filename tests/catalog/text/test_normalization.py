"""Unicode normalisation, against that of the standard library."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from catalog.text.normalization import PART, nfkc

MARKS = "\u0301\u0316\u0344"


@given(st.lists(st.text(st.one_of(st.characters(), st.sampled_from(MARKS)), max_size=PART // 2), max_size=5))
def test_words_of_usual_length_are_normalised_as_the_whole_text_is(words: list[str]) -> None:
    text = " ".join(words)
    assert nfkc(text).split() == unicodedata.normalize("NFKC", text).split()


def test_a_million_marks_take_no_time_to_speak_of() -> None:
    text = "a" + "\u0301" * 500_000 + "\u0316" * 500_000
    assert len(nfkc(text)) == len(text) - 1
