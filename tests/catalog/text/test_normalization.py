"""Unicode normalisation, against that of the standard library."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.text.normalization import PART, accentless, case_folded, nfkc, normalized

MARKS = "\u0301\u0316\u0344"


@given(st.lists(st.text(st.one_of(st.characters(), st.sampled_from(MARKS)), max_size=PART // 2), max_size=5))
def test_words_of_usual_length_are_normalised_as_the_whole_text_is(words: list[str]) -> None:
    text = " ".join(words)
    assert nfkc(text).split() == unicodedata.normalize("NFKC", text).split()


@given(st.lists(st.sampled_from(["e\u0301", "ﬁ", "\u0301", "a", " ", "\n", "\u00a0", "\u2003", "\x1c"]), max_size=200))
def test_white_space_is_kept_and_words_are_normalised_as_each_is_by_itself(pieces: list[str]) -> None:
    text = "".join(pieces)
    apart = re.split(r"(\s+)", text)
    assert nfkc(text) == "".join(part if part.isspace() else unicodedata.normalize("NFKC", part) for part in apart)


def test_a_million_marks_take_no_time_to_speak_of() -> None:
    text = "a" + "\u0301" * 500_000 + "\u0316" * 500_000
    assert len(nfkc(text)) == len(text) - 1


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("ΣΚΗΝΕΣ σκηνες", "σκηνεσ σκηνεσ"),
        ("İZNİK i̇znik I\u0307znik", "iznik iznik iznik"),
        ("Cafe\u0301 CAFÉ", "café café"),
        ("e\u200d\u0301te", "éte"),
        ("Ｔ－Ｓｈｉｒｔ ﬁne", "t-shirt fine"),
        ("Ruck\u00adsack zero\u200bwidth \ufeffmark", "rucksack zerowidth mark"),
        ("Straße STRASSE", "strasse strasse"),
        ("Gore™Tex ½", "gore tex 1⁄2"),
    ],
)
def test_all_ways_to_write_a_word_have_one_normal_form(text: str, normal: str) -> None:
    assert normalized(text) == normal


@given(st.text(st.one_of(st.characters(), st.sampled_from("İıßςΣ\u0345ŉΐﬃ" + MARKS)), max_size=40))
def test_what_is_normal_stays_as_it_is(text: str) -> None:
    normal = normalized(text)
    assert normalized(normal) == normal
    assert case_folded(normal) == normal


@pytest.mark.parametrize(
    ("word", "bare"),
    [
        ("crème", "creme"),
        ("œuvre", "oeuvre"),
        ("kılıf", "kilif"),
        ("чайник", "чайник"),
        ("ёлка", "елка"),
        ("σκηνή", "σκηνη"),
    ],
)
def test_accents_are_left_out_where_people_leave_them_out(word: str, bare: str) -> None:
    assert accentless(word) == bare


def test_a_million_marks_are_normalised_and_lose_their_accents_in_bounded_time() -> None:
    text = "a" + "\u0316\u0301" * 500_000
    assert len(normalized(text)) == len(text) - 1 or normalized(text)[0] == "á"
    assert len(accentless(text)) <= len(text)
