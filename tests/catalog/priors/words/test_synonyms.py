"""Synonyms: other wordings of a query, and what the priors find by them."""

import numpy as np
import pyarrow as pa
import pytest

from catalog.data.items import Items, clean_items
from catalog.data.validation_report import ValidationReport
from catalog.priors.priors import Priors
from catalog.priors.words import MAX_SYNONYMS, Synonyms, SynonymSet
from catalog.priors.words.synonyms import MAX_WORDINGS

SETS = [
    SynonymSet("seats", ("sofa", "couch", "settee")),
    SynonymSet("sets", ("tv", "television set")),
    SynonymSet("phones", ("iphone",), "smart phone"),
]


def texts(query: str) -> list[str]:
    return [other.text for other in Synonyms(SETS, "english").read(query).others]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("red sofa", ["red couch", "red settee"]),
        ("SOFAS", ["couch", "settee"]),
        ("tv stand", ["television set stand"]),
        ("Television-Sets!", ["tv!"]),
        ("television", []),
        ("smart phones", ["iphone"]),
        ("iphone", []),
        ("ｓｏｆａ", ["couch", "settee"]),
        ("", []),
        ('🛋 AND * OR "', []),
        ("tv couch", ["tv sofa", "tv settee", "television set couch", "television set sofa", "television set settee"]),
    ],
)
def test_other_wordings(query: str, expected: list[str]) -> None:
    assert texts(query) == expected


def test_there_are_few_wordings_however_many_words_have_synonyms() -> None:
    sets = [SynonymSet(str(n), tuple(f"w{chr(97 + n)}{chr(97 + m)}" for m in range(MAX_SYNONYMS))) for n in range(20)]
    query = " ".join(one.synonyms[0] for one in sets)
    found = Synonyms(sets).read(query)
    assert len({other.text for other in found.others}) == MAX_WORDINGS
    assert len(Synonyms(sets).read("a" * 1000).others) == 0


def find(items: Items, query: str, sets: list[SynonymSet]) -> tuple[list[str], str]:
    wordings = Synonyms(sets, "english").read(query)
    priors = Priors.of_items(items)
    found = priors.candidates(query, np.empty(0, np.int64), wordings=wordings)
    ids = items.table["item_id"].to_pylist()
    covered = {ids[item]: value for item, value in zip(found.item_C, found.value_CF.max(1), strict=True)}
    records = items.table.to_pylist()
    matches = priors.matches(query, found.words or (), records)
    words = {match.word for of_item in matches for match in of_item}
    return sorted(covered), f"{found.fit} {sorted(words)}"


@pytest.fixture
def items() -> Items:
    records = [
        {"item_id": "a", "title": "Green couch"},
        {"item_id": "b", "title": "Television set, black"},
        {"item_id": "c", "title": "Lamp"},
        {"item_id": "d", "title": "Coach bag"},
    ]
    return Items(clean_items(pa.Table.from_pylist(records), ValidationReport("items")))


def test_words_of_a_synonym_count_as_the_querys_own(items: Items) -> None:
    assert find(items, "green sofa", [])[1].startswith("some")
    ids, told = find(items, "green sofa", SETS)
    assert "a" in ids
    assert told == "all ['green', 'sofa']"
    assert find(items, "black tv", SETS)[1] == "all ['black', 'tv']"
