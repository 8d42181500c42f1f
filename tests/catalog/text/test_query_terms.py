"""Which words may be published of what people typed."""

import json

import pyarrow as pa
import pytest
from pydantic import ValidationError

from catalog.data.items import Items
from catalog.errors import BundleError
from catalog.text.query_terms import MIN_PEOPLE, MISSPELLING_SHARE, TypedWords
from catalog.text.spelling import Lexicon


@pytest.fixture
def shop_items() -> Items:
    return Items(pa.table({"item_id": ["1", "2", "3"], "title": ["The Plover Fleece", "Tend tend tend", "Tent"]}))


def typed_by(people: dict[str, int]) -> TypedWords:
    """Each word typed by so many people of its own, by each of them twice."""
    return TypedWords.of([f"a {word}!", f"{word.upper()} 2"] for word, count in people.items() for _ in range(count))


def test_people_are_counted_and_not_queries() -> None:
    assert typed_by({"pullover": 7, "палатка": MIN_PEOPLE}).people == {"pullover": 7, "палатка": MIN_PEOPLE}
    together = TypedWords.of([["warm pullover", "pullover"], *[["pullover"]] * 4])
    assert together.people == {"pullover": 5}


def test_a_word_of_few_people_is_not_published() -> None:
    words = typed_by({"pullover": MIN_PEOPLE, "smith": MIN_PEOPLE - 1})
    assert set(words.people) == {"pullover"}
    assert TypedWords.of([["smith"] * 100]).people == {}


@pytest.mark.parametrize("word", ["ab", "x100", "07911123456", "帐篷防水布", "snake_case"])
def test_what_is_no_word_of_an_alphabet_is_not_published(word: str) -> None:
    assert typed_by({word: 50}).people == {}


def test_the_misspelling_that_many_make_is_not_published() -> None:
    often = MIN_PEOPLE * MISSPELLING_SHARE
    assert set(typed_by({"hiking": often, "hikign": MIN_PEOPLE}).people) == {"hiking"}
    assert set(typed_by({"hiking": often - 1, "hikign": MIN_PEOPLE}).people) == {"hiking", "hikign"}
    assert set(typed_by({"sock": often, "sack": MIN_PEOPLE + 1}).people) == {"sock", "sack"}
    assert set(typed_by({"waterproof": often, "wtaerprof": MIN_PEOPLE}).people) == {"waterproof"}


def test_words_that_people_typed_are_known_and_corrected_to(shop_items) -> None:
    catalog = Lexicon.of(shop_items, {})
    assert catalog.correct("pullover") == "plover"
    known = Lexicon.of(shop_items, typed_by({"pullover": 6}).people)
    assert known.correct("pullover plover") == "pullover plover"
    assert known.correct("pulover pullovr") == "pullover pullover"


def test_what_people_type_counts_for_more_than_what_the_catalog_says(shop_items) -> None:
    assert Lexicon.of(shop_items, {}).correct("tenk") == "tend"
    assert Lexicon.of(shop_items, {"tent": 5}).correct("tenk") == "tent"
    assert Lexicon.of(shop_items, {"tent": 5, "tend": 5}).correct("tenk") == "tend"
    assert Lexicon.of(shop_items, {"tent": 5}).with_records([{"title": "tenx tenx"}]).correct("tenk") == "tent"


def test_the_file_says_what_was_saved(tmp_path) -> None:
    words = typed_by({"pullover": 7, "палатка": 6})
    words.save(tmp_path / "typed_words.json")
    assert TypedWords.open(tmp_path / "typed_words.json") == words
    with pytest.raises(ValidationError):
        TypedWords(people={"nobody": 0})


@pytest.mark.parametrize("content", ["{", "[]", json.dumps({"people": {"tent": 0}}), json.dumps({"words": {}})])
def test_a_file_of_something_else_is_named(content: str, tmp_path) -> None:
    file = tmp_path / "typed_words.json"
    file.write_text(content)
    with pytest.raises(BundleError, match=r"typed_words\.json holds no words"):
        TypedWords.open(file)
