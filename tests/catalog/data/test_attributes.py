"""Which columns are attributes, and that what people name of them brings the items that have it."""

import numpy as np
import pyarrow as pa
import pytest

from catalog.data.attributes import attribute_columns, attribute_texts
from catalog.data.items import Items, clean_items
from catalog.data.validation_report import ValidationReport
from catalog.priors.priors import Priors
from catalog.priors.weights import USUAL_WEIGHTS, PriorWeights, prior_of

NONE = np.empty(0, np.int64)
COLOURS = ("grey", "blue", "red", "green")


def items_of(records):
    return Items(clean_items(pa.Table.from_pylist(records), ValidationReport("items")))


def jackets(count=200):
    """Whose titles do not name their colours, as the first of them does."""
    return items_of(
        [
            {
                "item_id": f"J{row}",
                "title": f"Norvik jacket {'grey' if row == 0 else 'number'} {row}",
                "description": "Goes with grey trousers." if row % 8 == 1 else "Warm.",
                "categories": ["Clothing", "Jackets"],
                "colour": COLOURS[row % 4],
                "materials": [["wool"], ["down", "nylon"], None, []][row // 4 % 4],
                "sku": f"SKU {row:04}",
                "care": "Wash it at thirty degrees and never at sixty. " * 2,
                "grams": row % 5,
                "size": "XL" if row % 2 else "S",
            }
            for row in range(count)
        ]
    )


def crockery():
    return items_of(
        [
            {"item_id": f"C{row}", "title": f"Mug {row}", "glaze": ("celadon", "tenmoku", None)[row % 3]}
            for row in range(60)
        ]
    )


def books():
    return items_of(
        [
            {"item_id": f"B{row}", "title": f"Volume {row}", "binding": "Leinen" if row < 12 else "Broschur"}
            for row in range(60)
        ]
    )


def test_short_texts_that_many_items_share_are_attributes():
    assert attribute_columns(jackets()) == ("colour", "materials", "size")
    assert attribute_texts(jackets(), ["colour", "materials", "gone"])[:5:4] == ["grey, wool", "grey, down, nylon"]
    assert attribute_texts(jackets(3), []) == ["", "", ""]


@pytest.mark.parametrize(
    ("column", "attribute"),
    [
        (pa.array(["a", None] * 50), True),
        (pa.array([None] * 100, pa.string()), False),
        (pa.array([f"v{row // 4}" for row in range(100)]), True),
        (pa.array([f"v{row // 3}" for row in range(100)]), False),
        (pa.array(["a" * 41] * 100), False),
        (pa.array([["a", None]] * 100), True),
        (pa.array([[]] * 100, pa.list_(pa.string())), False),
        (pa.array([1.5] * 100), False),
        (pa.array([True] * 100), False),
    ],
)
def test_by_what_they_hold(column, attribute):
    table = pa.table({"item_id": [str(row) for row in range(100)], "further": column})
    assert (attribute_columns(Items(table)) == ("further",)) == attribute


@pytest.mark.parametrize(
    ("items", "query", "right"),
    [
        (jackets(), "grey jackets", range(0, 200, 4)),
        (jackets(), "XL jacket", range(1, 200, 2)),
        (jackets(), "wool jackets", [row for row in range(200) if row // 4 % 4 == 0]),
        (crockery(), "celadon mug", range(0, 60, 3)),
        (books(), "volume leinen", range(12)),
    ],
)
def test_a_named_attribute_brings_the_items_that_have_it(items, query, right):
    priors = Priors.of_items(items)
    prior = prior_of(priors.candidates(query, NONE), USUAL_WEIGHTS["search"])
    assert set(prior.leaves[np.argsort(-prior.values, kind="stable")][:10].tolist()) <= set(right)
    assert priors.candidates(query, NONE).fit == "all"


def test_items_that_change_bring_their_attributes():
    priors = Priors.of_items(jackets())
    new = jackets(1).table.to_pylist()[0] | {"item_id": "new", "title": "Parka", "colour": "vermilion"}
    changed = priors.with_items(np.array([200]), Items(pa.Table.from_pylist([new], jackets().table.schema)))
    found = changed.candidates("vermilion", NONE)
    assert found.fit == "all"
    assert 200 in found.item_C
    assert priors.candidates("vermilion", NONE).fit == "none"


def test_weights_of_before_there_were_attributes_count_none():
    weights = PriorWeights.from_json({"model": 0.5, "bm25": 1.0, "covered": 2.0})
    found = Priors.of_items(jackets()).candidates("grey jackets", NONE)
    assert np.isfinite(prior_of(found, weights).values).all()
