"""Which titles begin with what was typed so far."""

import numpy as np
import pyarrow as pa
import pytest

from catalog.data.items import Items, clean_items
from catalog.data.validation_report import ValidationReport
from catalog.priors.words import WORD_FEATURES, WordFeatures, WordSettings
from catalog.priors.words.beginnings import MANY, MAX_BEGUN, Beginnings

TITLES = [
    "Norrvik Trail 60 m Rope",
    "Norrvik Trail Lamp",
    "Écharpe d'été",
    "",
    "Trail Norrvik",
    "日本語の本",
    "Straße 5",
]


def beginnings(titles=TITLES):
    made = Beginnings()
    made.add(range(len(titles)), titles)
    return made


@pytest.mark.parametrize(
    ("typed", "items"),
    [
        ("norrv", [0, 1]),
        ("Norrvik Trail 6", [0]),
        ("norrvik-trail 60m", [0]),
        ("norrviktrail", [0, 1]),
        ("echarpe de", [2]),
        ("日本", [5]),
        ("strasse", [6]),
        ("ＴＲＡ", [4]),
        ("n", []),
        ("", []),
        (" -*: ", []),
        ("norrvik trails", []),
        ("rope", []),
        ("n" * 1_000_000, []),
    ],
)
def test_titles_that_begin_so(typed, items):
    assert sorted(item for item, _ in beginnings().of(typed)) == items


def test_how_much_of_the_title_that_is():
    ((item, share),) = beginnings().of("tra")
    assert (item, share) == (4, 3 / 12)
    assert beginnings().of("Trail Norrvik") == [(4, 1.0)]


def test_what_begins_too_many_titles_says_nothing():
    titles = [f"tent {n:03}" for n in range(MAX_BEGUN + 1)]
    assert beginnings(titles).of("tent") == []
    assert len(beginnings(titles).of("tent 0")) == MAX_BEGUN
    assert len(beginnings(titles[:-1]).of("tent")) == MAX_BEGUN


@pytest.mark.parametrize("others", [0, MANY + 1])
def test_an_item_with_another_title_is_found_by_that_alone(others):
    made = beginnings()
    made.add([1, *range(50, 50 + others)], ["Hängelampe", *["zz"] * others])
    assert [item for item, _ in made.of("norrvik")] == [0]
    assert [item for item, _ in made.of("hangel")] == [1]
    made.add([1], [TITLES[1]])
    assert sorted(item for item, _ in made.of("norrvik")) == [0, 1]
    assert made.of("hangel") == []


def test_the_feature_of_deleted_items_and_of_words_that_are_complete():
    records = [{"item_id": str(n), "title": title or None} for n, title in enumerate(TITLES)]
    words = WordFeatures(Items(clean_items(pa.Table.from_pylist(records), ValidationReport("items"))), WordSettings())
    item_C, column = np.arange(len(records)), WORD_FEATURES.index("title_begun")

    def begun(words, query, **how):
        value_CF = np.zeros((len(item_C), len(WORD_FEATURES)))
        words.compare(words.find(query, 10, **how), item_C, value_CF)
        return np.flatnonzero(value_CF[:, column]).tolist()

    assert begun(words, "norrvik trail l") == [1]
    assert begun(words, "norrv") == [0, 1]
    assert begun(words, "norrv", prefix=False) == []
    nothing = Items(clean_items(pa.Table.from_pylist(records[:1]), ValidationReport("items")).slice(0, 0))
    assert begun(words.with_items(np.empty(0, np.int64), nothing, [0]), "norrv") == [1]
