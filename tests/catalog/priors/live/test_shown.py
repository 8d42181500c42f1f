"""What was shown and left, against loops over all impressions, and what it changes of a prior: nothing else."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.data.items import Items
from catalog.priors.live.shown import (
    ENOUGH,
    HALF_LIFE_MS,
    MAX_IMPRESSIONS,
    NOTHING_SHOWN,
    SHOWN,
    Shown,
    shown,
    unanswered,
)
from catalog.priors.priors import FEATURES, Priors, PriorSettings
from catalog.priors.weights import USUAL_WEIGHTS, prior_of
from tests.support import world
from tests.support.paths import ROOT

NOW = 1_763_640_000_000
DAY = 86_400_000
PLACE, POPULARITY = FEATURES.index(SHOWN), FEATURES.index("popularity")

impressions = st.lists(st.tuples(st.integers(0, 9), st.integers(-40, 2)), max_size=30)  # of items, by days from now
takes = st.lists(st.tuples(st.integers(0, 9), st.integers(-40, 2)), max_size=10)


def columns(rows):
    """Items, and times."""
    return np.array(rows, np.int64).reshape(-1, 2).T * np.array([[1], [DAY]]) + np.array([[0], [NOW]])


@given(impressions, takes)
def test_the_feature_is_the_logarithm_of_decayed_impressions_since_the_user_took_the_item(rows, taken):
    left = unanswered(*columns(rows), *columns(taken))
    kept = [row for row, is_left in zip(rows, left.tolist(), strict=True) if is_left]
    assert kept == [(item, day) for item, day in rows if not any(item == one and at >= day for one, at in taken)]
    found = shown(*columns(kept), NOW)
    assert found.item_S.tolist() == sorted({item for item, _ in kept})
    for item, value in zip(found.item_S.tolist(), found.value_S.tolist(), strict=True):
        count = sum(0.5 ** (max(-day, 0) * DAY / HALF_LIFE_MS) for one, day in kept if one == item)
        assert value == pytest.approx(np.log1p(min(count, ENOUGH)) / np.log1p(ENOUGH), abs=1e-6)
        assert 0 < value <= 1


def test_no_number_of_impressions_is_more_than_enough():
    item_I, time_I = np.zeros(5_000, np.int64), np.full(5_000, NOW)
    assert shown(item_I, time_I, NOW).value_S.tolist() == [1.0]
    assert shown(*columns([]), NOW) is NOTHING_SHOWN


@pytest.fixture(scope="module")
def priors():
    """Whose sources list few of the items."""
    return Priors.of_items(world.items(), PriorSettings(listed=3))


@settings(max_examples=12)
@given(
    st.sampled_from([None, "red tent", "rope zzz", ""]),
    st.lists(st.integers(0, 29), max_size=4),
    st.dictionaries(st.integers(0, 40), st.floats(0.0625, 1, width=32), max_size=8),
)
def test_it_changes_the_values_of_what_was_shown_and_of_nothing_else(priors, query, history, values):
    """Items that are none are left out; those that no source lists are as popular as before, less what it takes."""
    past, own = np.array(history, np.int64), dict(sorted(values.items()))
    left = Shown(np.array(list(own), np.int64), np.array(list(own.values()), np.float32))
    before, after = priors.candidates(query, past), priors.candidates(query, past, shown=left)
    there = [item for item in own if item < 30]
    assert after.item_C.tolist() == sorted({*before.item_C.tolist(), *there})
    for item, value_F in zip(after.item_C.tolist(), after.value_CF, strict=True):
        expected_F = before.value_CF[before.item_C == item].sum(0)
        if item not in before.item_C:
            expected_F[POPULARITY] = priors.popularity_N[item]
        expected_F[PLACE] = own.get(item, 0.0)
        np.testing.assert_array_equal(value_F, expected_F)
    assert after.fit == before.fit


def test_deleted_items_are_no_candidates(priors):
    changed = priors.with_items(np.empty(0, np.int64), Items(world.item_table().slice(0, 0)), [3])
    left = Shown(np.array([3, 4]), np.ones(2, np.float32))
    assert 3 not in changed.candidates(None, np.empty(0, np.int64), shown=left).item_C
    assert 3 in priors.candidates(None, np.empty(0, np.int64), shown=left).item_C


@pytest.mark.parametrize("task", USUAL_WEIGHTS)
def test_a_new_shop_lowers_what_was_shown_and_left(priors, task):
    query = "tent" if task == "search" else None
    left = shown(np.repeat(7, 5), np.full(5, NOW), NOW)
    before, after = (
        prior_of(priors.candidates(query, np.array([1]), shown=own), USUAL_WEIGHTS[task])
        for own in (NOTHING_SHOWN, left)
    )
    fall = before.values[before.leaves == 7] - after.values[after.leaves == 7]
    expected = {"recommendation": np.log(6), "search": np.log(6) / 3}[task]
    assert fall == pytest.approx(expected, rel=0.02)


def test_redis_keeps_as_many_as_count():
    for name in ("record_event", "merge_history"):
        text = (ROOT / "server/storage/scripts" / f"{name}.lua").read_text(encoding="utf-8")
        assert f"MAX_IMPRESSIONS = 1000, {MAX_IMPRESSIONS}" in text
