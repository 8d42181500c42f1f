"""Weights of events in training: what histories have, what is drawn, and what is left out."""

import numpy as np
import pyarrow as pa
import pytest

from catalog.data.event_weights import EventWeights
from catalog.data.items import Items
from trainer.config.recipe import load_recipe
from trainer.core.errors import TrainerError
from trainer.data.examples import EventSampler
from trainer.data.histories import Histories
from trainer.data.splits import leave_one_out
from trainer.evaluation.baselines import training_events

ITEMS = Items(pa.table({"item_id": [f"i{n}" for n in range(10)], "title": ["x"] * 10}))
ROWS = [
    ("a", 0, "view", None),
    ("a", 0, "purchase", None),
    ("a", 1, "view", None),
    ("a", 2, "rating", 1.0),
    ("a", 3, "cart", None),
    ("a", 1, "dislike", None),
    ("a", 4, "impression", None),
    ("b", 5, "purchase", 30.0),
    ("b", 6, "rating", 4.0),
    ("b", 5, "view", None),
]


def histories(weights=None, rows=ROWS):
    users, items, kinds, values = zip(*rows, strict=True)
    table = pa.table(
        {
            "user_id": users,
            "item_id": [f"i{item}" for item in items],
            "timestamp": pa.array(range(len(rows)), pa.int64()),
            "type": kinds,
            "query": pa.nulls(len(rows), pa.string()),
            "value": pa.array(values, pa.float64()),
        }
    )
    return Histories.from_events(table, ITEMS, weights=weights or EventWeights())


def test_a_dislike_leaves_history_and_targets():
    h = histories()
    assert h.items_E.tolist() == [0, 2, 3, 5, 6, 5]
    assert h.weights_E is None
    drawn = {
        int(h.items_E[event])
        for event in EventSampler(h, "recommendation", "events").draw(500, np.random.default_rng(0))
    }
    assert drawn == {0, 2, 3, 5, 6}
    held = [(question.item, h.items_E[question.start : question.stop].tolist()) for question in leave_one_out(h).test]
    assert held == [(3, [0, 2])]
    assert 1 not in training_events(h, 10).item_E


def test_a_run_of_events_counts_what_its_weightiest_does_and_low_ratings_nothing():
    h = histories(EventWeights({"purchase": 5, "cart": 3, "view": 1}, positive_rating=3))
    assert (h.items_E.tolist(), h.weights_E.tolist()) == ([0, 3, 5, 6, 5], [5, 3, 5, 1, 1])
    kept = h.keep(np.array([True, False, True, True, False]))
    assert kept.weights_E.tolist() == [5, 5, 1]
    assert training_events(kept, 10).weight_E.tolist() == [5, 5, 1]


@pytest.mark.parametrize("by", ["events", "root", "uniform"])
def test_events_are_drawn_as_their_weights_say(by):
    h = histories(EventWeights({"purchase": 4}))
    weight_E = np.array([4.0, 1, 1, 4, 1, 1])
    total = {"a": 6.0, "b": 6.0}["a"]
    draws = EventSampler(h, "recommendation", by).draw(20_000, np.random.default_rng(1))
    share_E = np.bincount(draws, minlength=6) / 20_000
    np.testing.assert_allclose(share_E, weight_E / (2 * total), atol=0.015)


def test_equal_weights_draw_what_was_drawn_before():
    plain, equal = histories(), histories(EventWeights({"view": 1.0, "purchase": 1}))
    for by in ("events", "root", "uniform"):
        one, other = (EventSampler(h, "recommendation", by).draw(50, np.random.default_rng(3)) for h in (plain, equal))
        assert one == other


def test_a_recipe_names_weights_and_the_manifest_keeps_them():
    recipe = load_recipe("demo", ["events.weights={purchase: 5, cart: 3, view: 1}", "events.positive_rating=3.5"])
    weights = EventWeights.of_settings(recipe.model_dump(mode="json"))
    assert weights == recipe.events.event_weights == EventWeights({"purchase": 5, "cart": 3, "view": 1}, 3.5)
    assert load_recipe("demo").events.event_weights == EventWeights()
    assert load_recipe("demo", ["events.weights.purchase=2"]).events.weights == {"purchase": 2.0}


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("events.weights={buy: 5}", "events.weights.buy"),
        ("events.weights={dislike: 1}", "events.weights.dislike"),
        ("events.weights={view: -1}", "greater than or equal to 0"),
        ("events.weights={view: 1000}", "less than or equal to 100"),
        ("events.weights={view: .nan}", "events.weights.view"),
        ("events.positive_rating=.inf", "events.positive_rating"),
        ("events.weight={view: 1}", "did you mean events.weights"),
    ],
)
def test_a_wrong_weight_is_named(override, said):
    with pytest.raises(TrainerError, match=said):
        load_recipe("demo", [override])


def test_a_type_of_0_is_neither_history_nor_target():
    assert histories(EventWeights({"view": 0})).items_E.tolist() == [0, 2, 3, 5, 6]
    with pytest.raises(TrainerError, match=r"no event counts: .* events\.weights"):
        histories(EventWeights({"view": 0}), [row for row in ROWS if row[2] == "view"])
