"""Where in a title somebody's typing is found, against the same written out."""

from hypothesis import given
from hypothesis import strategies as st

from catalog.suggestions import key_of
from catalog.text.compounds import words_in
from server.retrieval.suggester import typed_from

LETTERS = st.sampled_from("aAéß㎏№½ ½-'’  İıœμ\u0301\u00ad\u200b™ﬁ１２ςΣ")
TITLES = st.one_of(st.text("aB1 -'_.", max_size=12), st.text(st.one_of(LETTERS, st.characters()), max_size=12))


@given(TITLES, st.data())
def test_it_is_the_first_word_from_which_on_the_title_begins_so(title: str, data: st.DataObject) -> None:
    """Also where signs become letters, so that the words of a title are not those of its key."""
    key = key_of(title)
    begin = data.draw(st.integers(0, max(0, len(key) - 1)))
    beginning = key_of(key[begin : begin + data.draw(st.integers(1, 4))]) or "a"
    starts = [word.start for word in words_in(title) if key_of(title[word.start :]).startswith(beginning)]
    assert typed_from(title, beginning) == next(iter(starts), None)
