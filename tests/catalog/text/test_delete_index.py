"""The index of near words, against a comparison with every known word."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz.distance import OSA

from catalog.text.delete_index import DeleteIndex

WORDS = st.text("abc\u0430\u03c9", max_size=12)  # so few letters that many words are near each other


@given(st.lists(WORDS, unique=True, max_size=40), WORDS, st.sampled_from((1, 2)))
def test_exactly_the_words_within_so_many_edits_are_found(known: list[str], typed: str, edits: int) -> None:
    found = DeleteIndex(known).near(typed, edits)
    distances = {word: OSA.distance(typed, word) for word in known}
    assert sorted(found) == sorted((word, distance) for word, distance in distances.items() if distance <= edits)


@given(st.text("abcdefgh", min_size=8, max_size=30), st.data())
def test_two_edits_anywhere_lead_back_to_the_word(word: str, data: st.DataObject) -> None:
    typed = word
    for _ in range(2):
        place = data.draw(st.integers(0, len(typed) - 1))
        kind = data.draw(st.sampled_from(("add", "drop", "swap", "replace")))
        left, letter, right = typed[:place], typed[place], typed[place + 1 :]
        typed = {
            "add": f"{left}x{letter}{right}",
            "drop": left + right,
            "swap": left + right[:1] + letter + right[1:],
            "replace": f"{left}x{right}",
        }[kind]
    distance = OSA.distance(typed, word)
    assert DeleteIndex([word]).near(typed, 2) == ([(word, distance)] if distance <= 2 else [])


@pytest.mark.parametrize("typed", ["", "a", "zzzzzzzz"])
def test_an_index_of_no_words_finds_none(typed: str) -> None:
    assert DeleteIndex([]).near(typed, 2) == []
    assert len(DeleteIndex([])) == 0
