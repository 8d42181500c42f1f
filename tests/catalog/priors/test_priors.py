"""All sources together: what is listed, and what a few numbers say about it."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.errors import PriorsError
from catalog.priors.events import TrainingEvents
from catalog.priors.learned import open_learned, save_learned
from catalog.priors.priors import FEATURES, Priors
from catalog.priors.weights import USUAL_WEIGHTS, PriorWeights, open_weights, prior_of, save_weights
from tests.support import world
from tests.support.paths import ROOT

NONE = np.empty(0, np.int64)


def no_events(items):
    return TrainingEvents(0, items, NONE, NONE, NONE, [])


@pytest.fixture(scope="module")
def items():
    return world.items()


def best(priors, weights, query, history=NONE):
    prior = prior_of(priors.candidates(query, history), weights)
    return prior.leaves[np.argsort(-prior.values, kind="stable")]


def test_a_new_shop_finds_its_titles_and_ids(items):
    priors = Priors.fit(items, no_events(len(items)))
    titles, ids = items.table["title"].to_pylist(), items.ids
    for row in range(len(items)):
        assert titles[best(priors, USUAL_WEIGHTS["search"], titles[row])[0]] == titles[row]
        assert ids[best(priors, USUAL_WEIGHTS["search"], ids[row])[0]] == ids[row]


def test_importing_the_priors_does_not_load_numba():
    """vLLM's engine process does not start once numba is imported, so it is loaded with the first priors."""
    program = "import sys, catalog.priors.weights, server.retrieval.live_catalog; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False, cwd=ROOT).returncode == 0


def test_features_of_a_question(items):
    count = len(items)
    user_E = np.repeat(np.arange(6), 3)
    item_E = np.array([0, 1, 2] * 5 + [0, 3, 4])
    query_E = np.where(item_E == 2, 0, -1)
    priors = Priors.fit(items, TrainingEvents(6, count, user_E, item_E, query_E, ["anything at all"]))
    found = priors.candidates("anything at all", np.array([0]))
    columns = dict(zip(FEATURES, found.value_CF.T, strict=True))
    place = {int(item): at for at, item in enumerate(found.item_C)}
    assert columns["same_clicks"][place[2]] == columns["alike_clicks"][place[2]] == 1
    assert columns["transitions"][place[1]] > columns["transitions"][place[3]] > 0
    assert columns["item_knn"].max() == columns["ease"].max() == columns["popularity"].max() == 1
    assert np.isfinite(found.value_CF).all()
    assert (np.diff(found.item_C) > 0).all()
    alone = priors.candidates(None, np.array([0]))
    assert not alone.value_CF[:, : FEATURES.index("ease")].any()


@given(st.text(max_size=30) | st.none(), st.lists(st.integers(0, 29), max_size=30))
def test_any_question_has_a_prior(shop_priors, query, history):
    found = shop_priors.candidates(query, np.array(history, np.int64))
    prior = prior_of(found, USUAL_WEIGHTS["search"])
    assert np.isfinite(prior.values).all()


@pytest.fixture(scope="module")
def shop_priors(items):
    item_E = np.arange(60) % len(items)
    return Priors.fit(
        items, TrainingEvents(6, len(items), np.repeat(np.arange(6), 10), item_E, item_E % 3 - 1, ["a", "red tent"])
    )


def test_weights_have_names():
    weights = PriorWeights.of(0.5, {"ease": 2.0})
    assert weights.as_json() == {"model": 0.5, "ease": 2.0}
    assert PriorWeights.from_json(weights.as_json()).as_json() == weights.as_json()
    with pytest.raises(ValueError, match="no feature is named 'eaze'"):
        PriorWeights.of(0.5, {"eaze": 2.0})


def test_what_events_teach_is_kept_in_a_folder(items, shop_priors, tmp_path):
    save_learned(shop_priors.learned, tmp_path / "priors")
    opened = Priors(items, open_learned(tmp_path / "priors", len(items)))
    for query, history in (("red tent", NONE), (None, np.array([3, 4])), ("a", np.array([1]))):
        before, after = shop_priors.candidates(query, history), opened.candidates(query, history)
        assert before.item_C.tolist() == after.item_C.tolist()
        np.testing.assert_array_equal(before.value_CF, after.value_CF)


@pytest.mark.parametrize("file", ["texts.json", "ease_NN.data.npy", "evidence_VG.npy", "count_TN.indptr.npy"])
@pytest.mark.parametrize("damage", [lambda file: file.unlink(), lambda file: file.write_bytes(b"x")])
def test_a_damaged_folder_is_named(shop_priors, items, tmp_path, file, damage):
    save_learned(shop_priors.learned, tmp_path / "priors")
    damage(tmp_path / "priors" / file)
    with pytest.raises(PriorsError, match=str(tmp_path)):
        open_learned(tmp_path / "priors", len(items))


def test_the_folder_of_another_catalog_is_refused(shop_priors, items, tmp_path):
    save_learned(shop_priors.learned, tmp_path / "priors")
    with pytest.raises(PriorsError, match=f"is of {len(items)} items and the catalog has 7"):
        open_learned(tmp_path / "priors", 7)


def test_weights_are_kept_in_a_file(tmp_path):
    save_weights(USUAL_WEIGHTS, tmp_path / "weights.json")
    opened = open_weights(tmp_path / "weights.json")
    assert {task: own.as_json() for task, own in opened.items()} == {
        task: own.as_json() for task, own in USUAL_WEIGHTS.items()
    }


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"search": 1, "recommendation": {}}', '{"search": {"eaze": 1}}'])
def test_a_damaged_file_of_weights_is_named(tmp_path, text):
    (tmp_path / "weights.json").write_text(text)
    with pytest.raises(PriorsError, match=str(tmp_path / "weights.json")):
        open_weights(tmp_path / "weights.json")
