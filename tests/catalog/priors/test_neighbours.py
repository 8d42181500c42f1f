"""item-kNN, transitions, EASE and popularity against the same written out with loops."""

from collections import Counter
from math import sqrt

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from catalog.priors import popularity
from catalog.priors.events import recent_items
from catalog.priors.neighbours import ease, item_knn, next_kinds, transitions
from tests.catalog.priors.worlds import as_history, asked_weights, histories_of, takers, training_events


def by_loops(history, items, last, decay, weight):
    """The score of every item from weights between pairs."""
    asked = asked_weights(history, last, decay)
    return [sum(own * weight(item, other) for item, own in asked.items()) for other in range(items)]


@given(st.data(), st.integers(1, 5), st.sampled_from([0.5, 1.0]))
def test_histories_ask_with_their_newest_distinct_items(data, last, decay):
    histories = data.draw(histories_of(6))
    found = recent_items(histories, 6, last=last, decay=decay).toarray()
    expected = [[asked_weights(history, last, decay).get(item, 0) for item in range(6)] for history in histories]
    np.testing.assert_allclose(found, expected)


@given(st.data(), training_events(), st.integers(1, 4), st.sampled_from([0.0, 3.0]))
def test_item_knn_adds_shrunk_cosines_of_the_nearest_neighbours(data, events, count, shrinkage):
    settings = item_knn.ItemKnnSettings(neighbours=count, shrinkage=shrinkage, last=3, decay=0.5)
    of_item = takers(events)

    def cosine(one, other):
        both = len(of_item[one] & of_item[other]) if one != other else 0
        return both / (sqrt(len(of_item[one]) * len(of_item[other])) + shrinkage) if both else 0.0

    def kept(one, other):
        order = sorted(range(events.items), key=lambda item: (-cosine(one, item), item))
        return cosine(one, other) if other in order[:count] else 0.0

    histories = data.draw(histories_of(events.items))
    found = item_knn.score(item_knn.fit(events, settings), histories, settings).toarray()
    np.testing.assert_allclose(found, [by_loops(h, events.items, 3, 0.5, kept) for h in histories], atol=1e-12)


def test_item_knn_is_the_same_in_blocks(monkeypatch):
    generator = np.random.default_rng(0)
    user_E = np.sort(generator.integers(0, 30, 300))
    events = world(30, 40, user_E, generator.integers(0, 40, 300))
    whole = item_knn.fit(events, item_knn.ItemKnnSettings(neighbours=6)).toarray()
    monkeypatch.setattr(item_knn, "BLOCK", 7)
    np.testing.assert_array_equal(item_knn.fit(events, item_knn.ItemKnnSettings(neighbours=6)).toarray(), whole)


@given(st.data(), training_events(), st.integers(1, 4), st.sampled_from([0.0, 0.5]), st.sampled_from([0.0, 2.0]))
def test_transitions_count_what_follows_within_the_window(data, events, window, backward, shrinkage):
    settings = transitions.TransitionSettings(
        window=window, step=0.7, backward=backward, shrinkage=shrinkage, last=3, decay=0.6
    )
    counts, pairs = Counter(), Counter()
    for user in range(events.users):
        steps = events.item_E[events.user_E == user].tolist()
        steps = [item for place, item in enumerate(steps) if place == 0 or item != steps[place - 1]]
        counts.update(steps)
        for place, item in enumerate(steps):
            for distance, later in enumerate(steps[place + 1 : place + 1 + window]):
                if later != item:
                    pairs[item, later] += 0.7**distance
                    pairs[later, item] += backward * 0.7**distance

    def weight(one, other):
        scale = sqrt((max(counts[one], 1) + shrinkage) * (max(counts[other], 1) + shrinkage))
        return pairs[one, other] / scale

    histories = data.draw(histories_of(events.items))
    found = transitions.score(transitions.fit(events, settings), histories, settings).toarray()
    np.testing.assert_allclose(found, [by_loops(h, events.items, 3, 0.6, weight) for h in histories], atol=1e-12)


@given(st.data(), training_events(), st.sampled_from([0.5, 20.0]))
def test_ease_is_the_closed_form_of_its_paper(data, events, penalty):
    settings = ease.EaseSettings(penalty=penalty, last=4, decay=0.9)
    taken_UN = np.zeros((events.users, events.items))
    taken_UN[events.user_E, events.item_E] = 1
    precision = np.linalg.inv(taken_UN.T @ taken_UN + penalty * np.eye(events.items))
    weights = precision / -np.diag(precision)
    np.fill_diagonal(weights, 0)
    histories = data.draw(histories_of(events.items))
    found = ease.score(ease.fit(events, settings), histories, settings)
    expected = [by_loops(h, events.items, 4, 0.9, lambda one, other: weights[one, other]) for h in histories]
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("limit", ["MAX_DOUBLE_SIDE", "BLOCK"])
@pytest.mark.parametrize("users", [20, 60])
def test_ease_is_the_same_in_float32_and_mirrored_in_parts(limit, users, monkeypatch):
    generator = np.random.default_rng(1)
    user_E = np.sort(generator.integers(0, users, 400))
    events = world(users, 40, user_E, generator.integers(0, 40, 400))
    expected = ease.fit(events, ease.EaseSettings(penalty=5)).weight_HH
    monkeypatch.setattr(ease, limit, 7)
    np.testing.assert_allclose(ease.fit(events, ease.EaseSettings(penalty=5)).weight_HH, expected, atol=1e-5)


def test_ease_leaves_out_what_the_fewest_took_beyond_its_largest_model(monkeypatch):
    events = world(4, 4, as_history([0, 0, 1, 1, 2, 3, 3]), as_history([0, 2, 0, 2, 3, 0, 2]))
    monkeypatch.setattr(ease, "MAX_ITEMS", 2)
    settings = ease.EaseSettings(penalty=1)
    model = ease.fit(events, settings)
    assert model.item_H.tolist() == [0, 2]
    score = ease.score(model, [as_history([3, 0]), as_history([])], settings)
    assert score.shape == (2, 4)
    assert np.flatnonzero(score[0]).tolist() == [2]
    assert not score[1].any()


@given(training_events())
def test_popularity_counts_events(events):
    counted = Counter(events.item_E.tolist())
    assert popularity.fit(events).tolist() == [counted[item] for item in range(events.items)]


def world(users, items, user_E, item_E):
    from catalog.priors.events import NO_QUERY, TrainingEvents

    return TrainingEvents(users, items, user_E, item_E, np.full(len(item_E), NO_QUERY), ())


@given(st.data(), training_events(), st.integers(1, 3))
def test_next_kinds_are_shares_of_what_follows_an_item_drawn_to_those_of_its_kind(data, events, kinds):
    kind_N = np.array(
        data.draw(st.lists(st.integers(0, kinds - 1), min_size=events.items, max_size=events.items)), np.int32
    )
    counted = transitions.count(events, transitions.TransitionSettings(window=5, step=0.7)).toarray()
    after_NK = np.stack([counted[:, kind_N == kind].sum(1) for kind in range(kinds)], 1)
    events_K = np.bincount(kind_N[events.item_E], minlength=kinds) + 1
    usual_K = events_K / events_K.sum()
    fitted = next_kinds.NextKinds.of(
        next_kinds.fit(events, kind_N, kinds), popularity.fit(events).astype(float), kind_N, kinds
    )
    for history in data.draw(histories_of(events.items)):
        expected_K = np.zeros(kinds + 1)
        for item, weight in asked_weights(history, 5, 0.7).items():
            after_kind_K = after_NK[kind_N == kind_N[item]].sum(0)
            share_K = (after_kind_K + 20 * usual_K) / (after_kind_K.sum() + 20)
            share_K = (after_NK[item] + 5 * share_K) / (after_NK[item].sum() + 5)
            expected_K[:-1] += weight * np.log(share_K / usual_K)
        evidence_K = fitted.evidence(history)
        np.testing.assert_allclose(evidence_K, expected_K, atol=1e-6)
        np.testing.assert_array_equal(fitted.score(evidence_K, np.arange(events.items)), evidence_K[kind_N])


def test_items_of_the_likeliest_kinds_are_candidates():
    """After tents (0) people take bags (1), whichever; of these the most taken one comes first. Ropes (2) are usual."""
    kind_N = np.array([0, 0, 1, 1, 1, 2, 2], np.int32)
    item_E = np.array([0, 2, 1, 3, 0, 3, 5, 6, 6, 5])
    events = world(5, 7, np.repeat(np.arange(5), 2), item_E)
    fitted = next_kinds.NextKinds.of(next_kinds.fit(events, kind_N, 3), popularity.fit(events).astype(float), kind_N, 3)
    evidence_K = fitted.evidence(as_history([1]))
    assert evidence_K.argmax() == 1
    assert fitted.best_items(evidence_K)[:3].tolist() == [3, 2, 4]


def test_nothing_is_known_of_kinds_and_items_that_came_later():
    kind_N = np.array([0, 1], np.int32)
    events = world(1, 2, np.zeros(4, np.int64), np.array([0, 1, 0, 1]))
    fitted = next_kinds.NextKinds.of(next_kinds.fit(events, kind_N, 2), popularity.fit(events).astype(float), kind_N, 2)
    later = fitted.with_kinds(next_kinds.known_kinds(np.array([0, 1, 2, 0, -1], np.int32), 1))
    assert later.kind_N.tolist() == [0, 2, 2, 0, 1]
    assert later.score(later.evidence(as_history([0])), np.array([1, 2])).tolist() == [0, 0]
    of_its_kind = fitted.with_kinds(np.array([0, 1, 0], np.int32)).evidence(as_history([2]))
    assert of_its_kind[1] > 0 > of_its_kind[0]


def test_a_bundle_without_next_kinds_says_nothing_of_them():
    kind_N = np.array([0, 1, 1], np.int32)
    fitted = next_kinds.NextKinds.of(sp.csr_matrix((3, 1), dtype=np.float32), np.ones(3), kind_N, 2)
    np.testing.assert_allclose(fitted.evidence(as_history([0, 1])), 0, atol=1e-12)
