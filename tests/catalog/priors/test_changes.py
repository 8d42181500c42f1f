"""Priors while their catalog changes, and whatever they compute, against the same with NumPy and sets."""

from functools import cache

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.data.items import Items
from catalog.priors.events import TrainingEvents
from catalog.priors.priors import Priors, PriorSettings
from tests.catalog.priors import by_numpy
from tests.support import world

KINDS = ("tent", "rope", "lamp", "canoe")
ATTRIBUTES = "matt tent for snow"
QUERIES = (
    "red tent",
    "Alpina ropes",
    "canoe",
    "lamps for walking, 60m",
    "tent-red",
    "boot-blue",
    "outdoor",
    "",
    "42",
    ATTRIBUTES,
)


@cache
def shop():
    """The world's items, with attributes."""
    table = world.items().table
    table = table.append_column("finish", pa.array([None, "matt", "glossy red"] * (len(table) // 3)))
    uses = pa.array([[], ["walking"], ["walking", "snow"]] * (len(table) // 3))
    return Items(table.append_column("uses", uses))


def record(item_id, title, **more):
    empty = {"description": None, "brand": None, "categories": [], "price": None, "available": True}
    empty |= {"finish": None, "uses": []}
    return {"item_id": item_id, "title": title, **empty, **more}


new_records = st.builds(
    lambda item_id, kind, brand, price, finish, uses: record(
        item_id,
        f"{kind} of {brand}" if brand else kind,
        brand=brand,
        categories=["outdoor", kind],
        price=price,
        finish=finish,
        uses=uses,
    ),
    st.sampled_from([f"new-{n}" for n in range(4)] + shop().ids[:4]),
    st.sampled_from(KINDS),
    st.sampled_from([None, "Alpina", "Halda"]),
    st.sampled_from([None, 5.0, 500.0]),
    st.sampled_from([None, "matt", "oiled"]),
    st.sampled_from([[], ["canoe", "snow"]]),
)
changes = st.lists(
    st.tuples(
        st.lists(new_records, max_size=3, unique_by=lambda own: own["item_id"]),
        st.lists(st.sampled_from(["new-0", "new-1", *shop().ids[:3]]), max_size=2, unique=True),
    ),
    max_size=4,
)


@pytest.fixture(scope="module")
def events():
    draw = np.random.default_rng(0)
    return TrainingEvents(
        8,
        30,
        np.repeat(np.arange(8), 6),
        draw.integers(0, 30, 48),
        draw.integers(-1, 3, 48),
        ["red tent", "blue rope", "alpina"],
    )


@pytest.fixture(scope="module")
def learned(events):
    return Priors.fit(shop(), events).learned


@pytest.fixture
def fitted(learned):
    return Priors(shop(), learned)


@settings(max_examples=30)
@given(
    changes, st.sampled_from(QUERIES) | st.none(), st.lists(st.integers(0, 33), max_size=8), st.sampled_from([3, 100])
)
def test_priors_say_what_numpy_says(learned, steps, query, history, listed):
    """listed: fewer items than there are, or all."""
    priors, records = Priors(shop(), learned, PriorSettings(listed=listed)), shop().table.to_pylist()
    number_of = {own["item_id"]: number for number, own in enumerate(records)}
    present = [True] * len(records)
    for upserts, deletions in steps:
        gone = [number_of[item_id] for item_id in deletions if item_id in number_of]
        gone = [number for number in gone if records[number] not in upserts]
        numbers = [number_of.setdefault(own["item_id"], len(number_of)) for own in upserts]
        gone = [number for number in gone if number not in numbers]
        records += [None] * (len(number_of) - len(records))
        present += [True] * (len(number_of) - len(present))
        for number, own in zip(numbers, upserts, strict=True):
            records[number], present[number] = own, True
        for number in gone:
            present[number] = False
        priors = priors.with_items(np.array(numbers, np.int64), items_of(upserts), gone)
    items, history = items_of(records), np.array([item for item in history if item < len(records)], np.int64)
    bm25_N = np.zeros(len(items))
    if query is not None:
        found = priors._words.find(query, 2 * priors.settings.listed)
        bm25_N[found.item_S] = found.score_S
    said = priors.candidates(query, history)
    item_C, value_CF = by_numpy.candidates(priors, items, query, history, present, bm25_N)
    assert said.item_C.tolist() == item_C.tolist()
    np.testing.assert_allclose(said.value_CF, value_CF, atol=1e-6)


@pytest.mark.parametrize("piece", [1, 7, 29])
def test_a_catalog_that_is_read_in_pieces_answers_as_one_that_is_read_at_once(learned, fitted, piece, monkeypatch):
    monkeypatch.setattr("catalog.data.items.PIECE", piece)
    one, other = fitted, Priors(shop(), learned)
    new = np.array([30, 4]), items_of([record("new", "red tent"), record(shop().ids[4], "red tent")])
    for _ in range(2):
        for query in (*QUERIES, None, *shop().ids[:3], shop().title(2), shop().title(2)[:4]):
            said, again = (priors.candidates(query, np.array([1, 5])) for priors in (one, other))
            assert said.item_C.tolist() == again.item_C.tolist()
            np.testing.assert_array_equal(said.value_CF, again.value_CF)
            assert said.words == again.words
            if query is not None:
                np.testing.assert_array_equal(one.matching(query), other.matching(query))
        one, other = (priors.with_items(*new, [2]) for priors in (one, other))


def items_of(records):
    return Items(pa.Table.from_pylist(records, shop().table.schema))


def test_a_change_is_not_seen_by_the_priors_before_it(fitted):
    before = fitted
    words = before.candidates("canoe tent", np.empty(0, np.int64))
    changed = before.with_items(
        np.array([30, 0]), items_of([record("new", "canoe"), record("tent-red", "folding canoe")]), [1]
    )
    after = changed.candidates("canoe", np.empty(0, np.int64))
    assert {0, 30} <= set(after.item_C.tolist())
    assert 1 not in after.item_C
    again = before.candidates("canoe tent", np.empty(0, np.int64))
    assert again.item_C.tolist() == words.item_C.tolist()
    np.testing.assert_array_equal(again.value_CF, words.value_CF)


def test_new_words_are_read_from_slips(fitted):
    changed = fitted.with_items(np.array([30]), items_of([record("new", "surprising kayak")]))
    for query in ("kayack", "suprising"):
        found = changed.candidates(query, np.empty(0, np.int64))
        assert 30 in found.item_C
    again = changed.with_items(np.array([31]), items_of([record("newer", "paddle")]))
    assert {30, 31} <= set(again.candidates("kayack padle", np.empty(0, np.int64)).item_C.tolist())


def test_many_changes_of_one_item_take_no_more_memory_than_a_few(fitted):
    priors = fitted
    for turn in range(100):
        priors = priors.with_items(np.array([3]), items_of([record("tent-green", f"tent number {turn}")]))
    words = priors._words._words
    assert len(words.bounds_SB) <= 2 * 30 + 2
    assert len(words.word_W) < 30 * 100
    assert 3 in priors.candidates("tent number 99", np.empty(0, np.int64)).item_C
