"""Whoever types the name of a category wants its items before those of categories whose names only have the word."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.data.items import Items, clean_items
from catalog.data.validation_report import ValidationReport
from catalog.priors.priors import FEATURES, Priors
from catalog.priors.weights import USUAL_WEIGHTS, prior_of
from catalog.priors.words.named_categories import NamedCategories

NONE = np.empty(0, np.int64)
STORE = [
    ["Hiking", "Backpacks"],
    ["Footwear", "Hiking Boots"],
    ["Snow", "Skis"],
    ["Snow", "Ski Boots"],
    ["Footwear"],
    None,
]
BAKERY = [["Bread"], ["Bread", "Rye Bread"], ["Cakes", "Gluten free"]]
WERKZEUG = [["Bohren"], ["Bohren", "Bohrer Holz"], []]


def items_of(categories, each=20):
    records = [
        {"item_id": f"{kind}-{n}", "title": f"Thing {kind} {n}", "categories": names or []}
        for n in range(each)
        for kind, names in enumerate(categories)
    ]
    return Items(clean_items(pa.Table.from_pylist(records), ValidationReport("items")))


@pytest.mark.parametrize(
    ("categories", "query", "value"),
    [
        (STORE, "hiking", [1, 0, 0, 0, 0, 0]),
        (STORE, "Norrvik hiking", [1, 0, 0, 0, 0, 0]),
        (STORE, "hiking boot", [0.5, 1, 0, 0, 0, 0]),
        (STORE, "skis", [0, 0, 1, 0, 0, 0]),
        (STORE, "ski boots", [0, 0, 0.5, 1, 0, 0]),
        (STORE, "footwear", [0, 1, 0, 0, 1, 0]),
        (STORE, "boots", [0, 0, 0, 0, 0, 0]),
        (BAKERY, "bread", [1, 1, 0]),
        (BAKERY, "rye bread", [0.5, 1, 0]),
        (BAKERY, "gluten free rye", [0, 0, 1]),
        (WERKZEUG, "Bohrer für Holz", [0, 1, 0]),
    ],
)
def test_the_whole_name_is_typed(categories, query, value):
    found = Priors.of_items(items_of(categories)).candidates(query, NONE)
    value_N = np.zeros(20 * len(categories))
    value_N[found.item_C] = found.value_CF[:, FEATURES.index("category_named")]
    expected = np.tile(value, 20)
    np.testing.assert_allclose(value_N[found.item_C], expected[found.item_C])
    assert set(np.flatnonzero(expected == 1)) <= set(found.item_C.tolist())


@pytest.mark.parametrize(
    ("categories", "query", "kind"), [(STORE, "hiking", 0), (STORE, "skis", 2), (BAKERY, "rye bread", 1)]
)
def test_they_come_first(categories, query, kind):
    items = items_of(categories)
    prior = prior_of(Priors.of_items(items).candidates(query, NONE), USUAL_WEIGHTS["search"])
    best = prior.leaves[np.argsort(-prior.values, kind="stable")][:10]
    assert {items.ids[leaf].split("-")[0] for leaf in best} == {str(kind)}


def test_a_slip_in_a_name_counts_less():
    found = Priors.of_items(items_of(STORE)).candidates("footwaer", NONE)
    value_C = found.value_CF[:, FEATURES.index("category_named")]
    assert 0.5 < value_C.max() < 1


names = st.lists(st.sampled_from(["a", "b", "a b", "c a", ""]), max_size=3)


@given(st.lists(names, min_size=1, max_size=5), st.lists(st.tuples(st.integers(0, 6), names), max_size=5), st.data())
def test_changes_are_not_seen_by_what_was_before(categories, changes, data):
    asked = [{word: 1.0} for word in data.draw(st.lists(st.sampled_from("abcd"), unique=True))]
    now = NamedCategories(str.split).with_items(np.arange(len(categories)), categories)
    known, current = {name for own in categories for name in own}, dict(enumerate(categories))
    for item, own in changes:
        before, count = now.score(asked, np.arange(1)), len(now._set_N)
        changed = now.with_items(np.array([item]), [own])
        again = now.score(asked, np.arange(1))
        assert len(now._set_N) == count
        assert before is again is None or (again is not None and len(again) == 1)
        now, current = changed, current | {item: own}
        known |= set(own)
    typed = {word for own in asked for word in own}
    longest = max((len(name.split()) for name in known if name and set(name.split()) <= typed), default=0)
    value_C = now.score(asked, np.array([*current]))
    if not longest:
        assert value_C is None
    else:
        right = [[len(n.split()) for n in own if n and set(n.split()) <= typed] for own in current.values()]
        np.testing.assert_allclose(value_C, [max(own, default=0) / longest for own in right])
