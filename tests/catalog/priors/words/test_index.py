"""BM25 of the word index against its formula, and that queries have no syntax."""

import re
from collections import Counter
from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.priors import words
from catalog.priors.words import WordSettings, divided
from catalog.text.normalization import normalized
from tests.support import world

ALPHABET = ("tent", "tents", "rope", "lamp", "boot", "and")
STEM = {"tents": "tent"}
texts = st.lists(st.lists(st.sampled_from(ALPHABET), max_size=6).map(" ".join), min_size=1, max_size=8)
K1, B = 1.2, 0.75


def bm25(documents, query):
    split = [[STEM.get(word, word) for word in document.split()] for document in documents]
    mean = sum(map(len, split)) / len(split)
    scores = []
    for own in split:
        counts, score = Counter(own), 0.0
        for word in {STEM.get(word, word) for word in query.split()}:
            having = sum(word in other for other in split)
            rarity = log(1 + (len(split) - having + 0.5) / (having + 0.5))
            score += rarity * counts[word] * (K1 + 1) / (counts[word] + K1 * (1 - B + B * len(own) / max(mean, 1e-9)))
        scores.append(score)
    return scores


@given(texts, st.lists(st.sampled_from([*ALPHABET, "unknown"]), max_size=4).map(" ".join))
def test_scores_are_bm25_of_stemmed_words(documents, query):
    found = words.score(words.fit({"title": documents}, WordSettings()), [query], WordSettings()).toarray()[0]
    np.testing.assert_allclose(found, bm25(documents, query), rtol=1e-4)


def test_fields_are_weighed_and_added():
    fields = {"title": ["red tent", "rope"], "brand": ["Alpina", "red"]}
    index = words.fit(fields, WordSettings())
    settings = WordSettings(weights={"title": 2.0, "brand": 0.5})
    expected = 2 * np.array(bm25(fields["title"], "red")) + 0.5 * np.array(bm25(["alpina", "red"], "red"))
    np.testing.assert_allclose(words.score(index, ["red"], settings).toarray()[0], expected, rtol=1e-4)


SYNTAX = [
    "AND",
    "tent AND rope",
    '"tent',
    "tent*",
    "title:rope",
    "-tent",
    "(",
    "a IN [b]",
    "tent^3",
    "/t.*/",
    "\\",
    "~2",
]


@pytest.mark.parametrize("query", SYNTAX)
def test_queries_have_no_syntax(query):
    documents = ["tent", "rope", "and"]
    index = words.fit({"title": documents}, WordSettings(language=None))
    found = words.score(index, [query], WordSettings()).toarray()[0]
    spoken = set("".join(c if c.isalnum() else " " for c in query).lower().split())
    assert [value > 0 for value in found] == [document in spoken for document in documents]


@pytest.mark.parametrize("query", ["", "🎪", "a" * 1_000_000, "e" + "\u0301" * 100_000, "\x00", "ﬁne"])
def test_queries_of_any_kind_are_answered(query):
    index = words.fit({"title": ["tent", ""]}, WordSettings())
    assert not words.score(index, [query], WordSettings()).toarray().any()


def test_accents_and_case_do_not_matter():
    index = words.fit({"title": ["Café crème"]}, WordSettings(language=None))
    assert words.score(index, ["CAFE", "crème"], WordSettings()).toarray().min() > 0


def test_the_language_decides_the_stem():
    assert words.words_of(words.analyzer("german"), "Häuser Haus") == ["haus"]
    assert words.words_of(words.analyzer(None), "tents tent tents") == ["tents", "tent"]
    with pytest.raises(ValueError, match="klingon"):
        words.analyzer("klingon")


def test_an_empty_catalog_and_no_question():
    assert words.score(words.fit({"title": []}, WordSettings()), ["tent"], WordSettings()).shape == (1, 0)
    assert words.score(words.fit({"title": ["tent"]}, WordSettings()), [], WordSettings()).shape == (0, 1)


def test_an_item_has_the_fields_that_any_item_has():
    fields = words.item_fields(world.items())
    assert set(fields) == {"text", "title", "brand", "categories", "description"}
    assert fields["brand"][:2] == ["", "Alpina"]
    assert fields["categories"][0] == "outdoor, tent"


@given(st.text(alphabet="aZé日_-9٣² .ﬁ\u0301", max_size=12))
def test_letters_and_digits_are_divided_wherever_one_stands_beside_the_other(text):
    everywhere = re.compile(r"(?<=\d)(?=[^\W\d_])|(?<=[^\W\d_])(?=\d)")
    assert divided(text) == everywhere.sub(" ", normalized(text))
