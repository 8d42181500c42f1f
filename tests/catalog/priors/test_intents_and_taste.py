"""What queries and histories say about categories, brands and prices."""

import numpy as np
import pyarrow as pa
import pytest

from catalog.data.items import Items, clean_items
from catalog.data.validation_report import ValidationReport
from catalog.priors import intents, taste
from catalog.priors.events import NO_QUERY, TrainingEvents


def events_of(rows, items, texts):
    user_E, item_E, query_E = np.array(rows, np.int64).reshape(-1, 3).T
    return TrainingEvents(int(user_E.max(initial=0)) + 1, items, user_E, item_E, query_E, texts)


def test_a_word_speaks_for_the_categories_taken_after_it():
    rows = [(0, 0, 0)] * 20 + [(0, 2, 1)] * 20 + [(0, 1, NO_QUERY)] * 5
    fitted = intents.fit(events_of(rows, 4, ["waterproof", "sharp"]), np.array([0, 0, 1, 1]), str.split)
    boots_and_knives = intents.score(fitted, ["waterproof"], np.arange(4))
    assert boots_and_knives[0] == boots_and_knives[1] > 0 > boots_and_knives[2] == boots_and_knives[3]
    both = intents.score(fitted, ["waterproof", "sharp"], np.arange(4))
    np.testing.assert_allclose(both, boots_and_knives + intents.score(fitted, ["sharp"], np.arange(4)), rtol=1e-6)
    assert intents.score(fitted, ["unknown"], np.arange(4)).tolist() == [0] * 4


def test_few_events_say_little():
    def evidence(count):
        rows = [(0, 0, 0)] * count + [(0, 2, NO_QUERY)] * 100
        fitted = intents.fit(events_of(rows, 3, ["waterproof"]), np.array([0, 0, 1]), str.split)
        return intents.score(fitted, ["waterproof"], np.arange(1))[0]

    assert 0 < evidence(1) < evidence(3) < evidence(30)


def test_without_events_nothing_is_said():
    none = TrainingEvents(0, 3, *(np.empty(0, np.int64) for _ in range(3)), [])
    assert intents.score(intents.fit(none, np.zeros(3, np.int64), str.split), ["a"], np.arange(3)).tolist() == [0] * 3


@pytest.fixture
def shop():
    records = [
        {"item_id": "a", "brand": "Norvik", "categories": ["Outdoor", "Tents"], "price": 100.0},
        {"item_id": "b", "brand": "Norvik", "categories": ["Outdoor", "Ropes"], "price": 50.0},
        {"item_id": "c", "brand": None, "categories": None, "price": None},
        {"item_id": "d", "brand": "Halda", "categories": ["Tents"], "price": 400.0},
    ]
    return taste.fit(Items(clean_items(pa.Table.from_pylist(records), ValidationReport("items"))))


def test_taste_is_the_share_of_the_history(shop):
    brand, category, price = taste.score(shop, np.array([0]), np.arange(4)).T
    assert brand.tolist() == [1, 1, 0, 0]
    assert category.tolist() == [1, 0, 0, 1]
    np.testing.assert_allclose(price, [1, 0.5, 1, 0.25])


def test_newer_items_count_more(shop):
    _, category, _ = taste.score(shop, np.array([0, 1]), np.arange(4)).T
    np.testing.assert_allclose(category[:2], [0.8 / 1.8, 1 / 1.8])


def test_nothing_is_said_without_a_history_or_of_what_nothing_is_known(shop):
    assert not taste.score(shop, np.empty(0, np.int64), np.arange(4)).any()
    assert not taste.score(shop, np.array([2]), np.arange(4)).any()
