"""What items' words say about how like a history other items are."""

import numpy as np
import pyarrow as pa
import pytest

from catalog.data.items import Items, clean_items
from catalog.data.validation_report import ValidationReport
from catalog.priors.priors import COLUMN, Priors
from catalog.priors.words import WordFeatures, WordSettings

TITLES = ["Red canvas tent", "Blue canvas tent", "Steel hammer", "Rubber hammer", "Walnut chair", "Canvas chair"]


def items_of(*titles):
    records = [{"item_id": f"i{number}", "title": title} for number, title in enumerate(titles)]
    return Items(clean_items(pa.Table.from_pylist(records), ValidationReport("items")))


@pytest.fixture
def words():
    return WordFeatures(items_of(*TITLES), WordSettings())


def values(words, history):
    content, value_NK = words.content(np.array(history, np.int64)), np.zeros((len(TITLES), 2), np.float32)
    if content is not None:
        words.compare_content(content, np.arange(len(TITLES)), value_NK)
    return value_NK.T


def test_an_item_is_most_like_itself_then_like_those_that_share_its_rarest_words(words):
    whole, last = values(words, [0])
    np.testing.assert_array_equal(whole, last)
    # tent is in two of six titles and canvas in three; red is in no other, and says nothing
    tent, canvas, chair = np.log(6 / 2), np.log(6 / 3), np.log(6 / 2)
    alike = canvas**2 / np.hypot(tent, canvas) / np.hypot(canvas, chair)
    np.testing.assert_allclose(last, [1, 1, 0, 0, 0, alike], rtol=1e-6)


def test_newer_items_count_more_and_the_last_one_by_itself(words):
    whole, last = values(words, [2, 0])
    np.testing.assert_allclose(whole[[0, 3]], [1 / 1.8, 0.8 / 1.8], rtol=1e-6)
    assert last[2] == last[3] == 0


@pytest.mark.parametrize("history", [[], [4_000]])
def test_nothing_is_said_without_a_history(words, history):
    assert words.content(np.array(history, np.int64)) is None


def test_a_word_that_every_item_has_says_nothing():
    assert WordFeatures(items_of("tent", "tent"), WordSettings()).content(np.array([0])) is None


def test_items_like_one_are_found_by_its_rare_words(words):
    assert set(words.alike(0).tolist()) == {0, 1, 5}
    assert set(words.alike(3).tolist()) == {2, 3}
    assert words.alike(4_000).tolist() == []


def test_a_change_is_seen_and_what_was_before_is_not_changed(words):
    changed = words.with_items(np.array([2, 6]), items_of("Steel chair", "Hammer of walnut"), gone=[1])
    assert set(changed.alike(0).tolist()) == {0, 5}
    assert set(changed.alike(6).tolist()) == {3, 4, 6}
    assert set(words.alike(0).tolist()) == {0, 1, 5}


def test_what_nobody_took_yet_can_be_recommended():
    """A hundred and fifty popular kettles leave no place for a tent, but for one of whose kind the history is."""
    priors = Priors.of_items(
        items_of(*[f"Kettle {number}" for number in range(150)], "Canvas tent", "Green canvas tent")
    )
    found = priors.candidates(None, np.array([150]))
    assert 151 in found.item_C
    assert found.value_CF[np.searchsorted(found.item_C, 151), COLUMN["content_last"]] > 0.9
