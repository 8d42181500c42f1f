"""The words of a catalog, whether its columns are read together, as those of few items are, or one after another."""

import pyarrow as pa
import pytest

from catalog.data.items import Items
from catalog.text import vocabulary
from catalog.text.vocabulary import Vocabulary, words_of_items

COLUMNS = {
    "item_id": ["a", "b", "c"],
    "title": ["T shirt™ Ray-Ban", "E bike ½ab l'eau", "Straße Ὀδυσσεύς"],
    "tags": [["X ray", "de longhi"], None, []],
    "brand": ["long", None, "Tent\u00a0pole"],
    "price": [1.0, 2.0, 3.0],
}


@pytest.fixture(params=[vocabulary.VALUES_IN_ONE, 0], ids=["together", "one by one"])
def words(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Vocabulary:
    monkeypatch.setattr(vocabulary, "VALUES_IN_ONE", request.param)
    return words_of_items(Items(pa.table(COLUMNS)))


def test_words_are_counted_in_all_columns(words: Vocabulary) -> None:
    assert words.counts["long"] == 1
    assert words.counts["ray"] == 2
    assert words.joined["rayban"] == 1
    assert words.written == {"strasse": "straße", "ὀδυσσεύσ": "ὀδυσσεύς"}
    assert "a" not in words.counts


def test_a_letter_that_stands_apart_may_be_a_part_of_the_next_word(words: Vocabulary) -> None:
    assert {word for word, count in words.joined.items() if count == 0} >= {"tshirt", "ebike", "xray"}


def test_neighbours_are_of_one_text(words: Vocabulary) -> None:
    assert "delonghi" in words.adjacent
    assert "tentpole" in words.adjacent
    assert "longtent" not in words.adjacent


def test_a_catalog_without_texts_has_no_words() -> None:
    assert len(words_of_items(Items(pa.table({"item_id": ["a"], "price": [1.0]})))) == 0
