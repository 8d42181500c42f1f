"""Questions that a catalog answers by itself."""

import numpy as np
import pyarrow as pa
import pytest

from catalog.data.items import Items, clean_items
from catalog.data.validation_report import ValidationReport
from loadtest.relevance.__main__ import shares
from loadtest.relevance.questions import Question, question_sets

RECORDS = [
    *(
        {
            "item_id": f"TEN-{n:02}",
            "title": f"Norvik tent {n}",
            "brand": "Norvik",
            "categories": ["Tents"],
            "colour": "blue" if n < 3 else None,
        }
        for n in range(12)
    ),
    {"item_id": "LAM-1", "title": "Écru lamp", "brand": "Halda", "categories": ["Lamps"]},
    {"item_id": "LAM-2", "title": "écru LAMP", "brand": "Halda", "categories": ["Lamps"]},
    *(
        {"item_id": f"ROP-{n}", "title": f"{n} Rope {length}", "categories": ["Climbing", "Ropes"], "colour": colour}
        for n, (length, colour) in enumerate([("60 m", "red"), ("60m", "red"), ("60-M", "red"), ("70 m", "blue")])
    ),
    {"item_id": "x", "title": None, "brand": None, "categories": None},
]


@pytest.fixture(scope="module")
def sets():
    items = Items(clean_items(pa.Table.from_pylist(RECORDS), ValidationReport("items")))
    return question_sets(items, 100, seed=0)


def texts(sets, kind):
    return [question.text for question in sets[kind]]


def test_every_titled_item_is_asked_for(sets):
    assert texts(sets, "exact_title") == [record["title"] for record in RECORDS[:-1]]
    assert texts(sets, "id")[:2] == ["TEN-00", "TEN-01"]
    assert texts(sets, "id_without_hyphens")[-5] == "lam 2"
    assert texts(sets, "title_plain")[-6:-4] == ["écru lamp", "écru lamp"]
    assert texts(sets, "accents_dropped") == ["Ecru lamp", "ecru LAMP"]
    assert texts(sets, "words_swapped")[0] == "tent Norvik 0"
    assert texts(sets, "half_title")[0] == "Norvik"


def test_equal_titles_are_all_right(sets):
    assert np.flatnonzero(sets["exact_title"][-5].right_N).tolist() == [12, 13]
    assert np.flatnonzero(sets["id"][-5].right_N).tolist() == [13]


def test_a_slip_is_one_letter(sets):
    for record, text in zip(RECORDS, texts(sets, "title_slip"), strict=False):
        assert text != record["title"]
        assert abs(len(text) - len(record["title"])) <= 1


def test_kinds_have_enough_items(sets):
    assert texts(sets, "brand") == ["Norvik"]
    assert texts(sets, "category") == ["Tents"]
    assert texts(sets, "brand_category") == ["Norvik Tents"]
    assert sets["brand"][0].right_N.sum() == 12


def test_numbers_with_their_units_and_values_of_further_columns_are_asked_for_within_a_category(sets):
    """However a number is written, and only where several items have it."""
    assert texts(sets, "number_category") == ["60 m Ropes"]
    assert np.flatnonzero(sets["number_category"][0].right_N).tolist() == [14, 15, 16]
    assert texts(sets, "value_category") == ["blue Tents", "red Ropes"]
    assert sets["value_category"][0].right_N.sum() == 3


def test_another_script_is_of_full_width_letters(sets):
    assert texts(sets, "full_width")[0] == "Ｎｏｒｖｉｋ ｔｅｎｔ ０"


def test_the_same_seed_asks_the_same():
    items = Items(clean_items(pa.Table.from_pylist(RECORDS), ValidationReport("items")))
    first, second = (question_sets(items, 3, seed=5) for _ in range(2))
    assert {kind: texts(first, kind) for kind in first} == {kind: texts(second, kind) for kind in second}
    assert max(map(len, first.values())) == 3


def test_shares():
    right_N = np.array([True, True, False, False])
    one, any_of_kind = Question("a", right_N, True), Question("b", right_N, False)
    ranked = [np.array([2, 0, 3]), np.array([0, 1, 2, 3])]
    assert shares([one, any_of_kind], ranked) == {"first": 0.5, "ten": 1.0}
    assert shares([any_of_kind], [np.array([2, 0, 3])]) == {"first": 0.0, "ten": 0.5}
