"""Events that come while a catalog serves, against a fit of all of them together."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.priors import clicks, popularity
from catalog.priors.clicks import ClickSettings
from catalog.priors.events import NO_QUERY, TrainingEvents
from catalog.priors.learned import learn
from catalog.priors.live import LiveEvents
from catalog.priors.live import events as module
from catalog.priors.neighbours import item_knn, transitions
from catalog.priors.neighbours.ease import EaseSettings
from catalog.priors.neighbours.item_knn import ItemKnnSettings
from catalog.priors.neighbours.transitions import TransitionSettings
from catalog.priors.priors import PriorSettings
from catalog.priors.taste import Taste
from catalog.priors.words import analyzer, words_of
from tests.catalog.priors.worlds import TEXTS, histories_of, training_events

SPLIT = analyzer("english")
NEW_TEXTS = ("green tents", "lamp", "a red tent", "Red  Tent")
ASKED = [*TEXTS, *NEW_TEXTS, "blue lamp", "", "unknown"]
WAYS = [ClickSettings(same_words=0.5, shared_words=0.3, sharpness=2.0), ClickSettings(shared_words=0.0)]

users = st.integers(0, 7)
live_events = st.lists(
    st.tuples(users, st.integers(0, 8), st.none() | st.sampled_from([*TEXTS, *NEW_TEXTS])), max_size=20
)
transition_settings = st.builds(
    TransitionSettings,
    window=st.integers(1, 4),
    step=st.sampled_from([0.7, 1.0]),
    backward=st.sampled_from([0.0, 0.5]),
    shrinkage=st.sampled_from([0.0, 20.0]),
)


def no_kinds(items):
    none = np.full(items, -1, np.int32)
    return Taste(none, none, np.full(items, np.nan), {}, {})


def split(text):
    return words_of(SPLIT, text)


def settings_of(settings):
    return settings.ease, settings.transitions, settings.item_knn


def live_of_nothing():
    settings, none = PriorSettings(), np.empty(0, np.int64)
    learned = learn(TrainingEvents(0, 9, none, none, none, ()), no_kinds(9), split, settings_of(settings))
    return LiveEvents(learned, settings, split)


def all_events(events, live, items):
    """As training events, each user's oldest first."""
    texts = [*events.texts, *NEW_TEXTS]
    old = zip(
        events.user_E.tolist(), events.item_E.tolist(), events.query_E.tolist(), events.weight_E.tolist(), strict=True
    )
    new = [
        (user, item, NO_QUERY if text is None else texts.index(text), *(weight or [1.0]))
        for user, item, text, *weight in live
    ]
    rows = sorted([*old, *new], key=lambda row: row[0])
    user_E, item_E, query_E = np.array([row[:3] for row in rows], np.int64).reshape(-1, 3).T
    return TrainingEvents(8, items, user_E, item_E, query_E, texts, weights=np.array([row[3] for row in rows]))


def dense(source, items):
    value_N = np.zeros(items)
    value_N[source[0]] = source[1]
    assert len(set(source[0].tolist())) == len(source[0])
    return value_N


def add(live, events, added):
    for user, item, text, *weight in added:
        own = events.user_E == user
        past = list(zip(events.item_E[own].tolist(), events.weight_E[own].tolist(), strict=True))
        live.add(f"user {user}", item, text, past, weight=weight[0] if weight else 1.0)


def live_after(events, settings, first, erased, then):
    """What is counted after some events, erasures and further events, and the events that are left."""
    learned = learn(events, no_kinds(events.items), split, settings_of(settings))
    live = LiveEvents(learned, settings, split)
    live.make_room(9)
    add(live, events, first)
    for user in erased:
        live.erase(f"user {user}")
    add(live, events, then)
    return live, [*(event for event in first if event[0] not in erased), *then]


def check_equal_to_a_fit(live, everything, settings, histories):
    items = everything.items
    fitted = clicks.fit(everything, split)
    for query in ASKED:
        for own, way in zip(live.taken_after(query, WAYS, 100), WAYS, strict=True):
            np.testing.assert_allclose(dense(own, items), clicks.score(fitted, [query], way).toarray()[0], atol=1e-9)
    follows_NN = transitions.fit(everything, settings.transitions)
    neighbours_NN = item_knn.fit(everything, settings.item_knn)
    for history in histories:
        _, of_transitions, of_knn = live.neighbours(history)
        expected = transitions.score(follows_NN, [history], settings.transitions).toarray()[0]
        np.testing.assert_allclose(dense(of_transitions, items), expected, atol=1e-9)
        expected = item_knn.score(neighbours_NN, [history], settings.item_knn).toarray()[0]
        np.testing.assert_allclose(dense(of_knn, items), expected, atol=1e-9)
    events_N = popularity.fit(everything)
    expected = np.log1p(events_N) / max(np.log1p(events_N.max()), 1)
    np.testing.assert_allclose(live.popularity(np.arange(items)), expected, atol=1e-12)
    np.testing.assert_allclose(live.popularity_of_all(), expected, atol=1e-6)
    assert set(live.popular(3).tolist()) == set(np.argsort(-events_N, kind="stable")[:3].tolist())


@given(
    training_events(max_users=5, max_items=7),
    live_events,
    st.sets(users, max_size=3),
    live_events,
    transition_settings,
    st.sampled_from([0.0, 3.0]),
    histories_of(9),
)
def test_scores_are_those_of_a_fit_of_all_events_but_erased_ones(
    events, first, erased, then, of_transitions, shrinkage, histories
):
    """There are more items than were trained on, new queries, and users who come back after they were erased."""
    settings = PriorSettings(transitions=of_transitions, item_knn=ItemKnnSettings(shrinkage=shrinkage))
    live, kept = live_after(events, settings, first, erased, then)
    assert len(live) == len(kept)
    check_equal_to_a_fit(live, all_events(events, kept, 9), settings, histories)


weights = st.sampled_from([0.25, 1.0, 1.0, 3.0, 5.0])  # whose sums are exact, so that items that are equal stay so
weighed_events = st.lists(
    st.tuples(users, st.integers(0, 8), st.none() | st.sampled_from([*TEXTS, *NEW_TEXTS]), weights), max_size=20
)


@given(
    training_events(max_users=5, max_items=7),
    st.data(),
    weighed_events,
    st.sets(users, max_size=3),
    weighed_events,
    transition_settings,
    st.sampled_from([0.0, 3.0]),
    histories_of(9),
)
def test_counts_of_live_events_are_sums_of_weights_as_those_of_a_fit(
    events, data, first, erased, then, of_transitions, shrinkage, histories
):
    drawn = data.draw(st.lists(weights, min_size=len(events.item_E), max_size=len(events.item_E)))
    events = replace(events, weights=np.array(drawn, np.float64))
    settings = PriorSettings(transitions=of_transitions, item_knn=ItemKnnSettings(shrinkage=shrinkage))
    live, kept = live_after(events, settings, first, erased, then)
    check_equal_to_a_fit(live, all_events(events, kept, 9), settings, histories)


@given(
    st.lists(
        st.tuples(users, st.integers(0, 8), st.none() | st.sampled_from(TEXTS), weights, st.booleans()), max_size=25
    ),
    transition_settings,
    histories_of(9),
)
def test_a_dislike_takes_back_what_the_user_did_with_the_item(rows, of_transitions, histories):
    none = np.empty(0, np.int64)
    events = TrainingEvents(8, 9, none, none, none, TEXTS)
    settings = PriorSettings(transitions=of_transitions)
    live = LiveEvents(
        learn(events, no_kinds(9), split, (EaseSettings(), of_transitions, settings.item_knn)), settings, split
    )
    kept = []
    for user, item, text, weight, disliked in rows:
        if disliked:
            live.dislike(f"user {user}", item)
            kept = [event for event in kept if event[:2] != (user, item)]
        else:
            add(live, events, [(user, item, text, weight)])
            kept.append((user, item, text, weight))
    assert len(live) == len(kept)
    check_equal_to_a_fit(live, all_events(events, kept, 9), settings, histories)


def test_what_was_disliked_is_no_longer_in_the_past_of_events_to_come():
    """Also where nothing of the user was remembered before the dislike, or nothing is left after it."""
    past = [(3, 1.0), (4, 5.0)]
    first, second, third = (live_of_nothing() for _ in range(3))
    first.dislike("ada", 3, past)
    second.add("ada", 3, "a lamp", past)
    second.dislike("ada", 3)
    third.add("ada", 5, None, [(4, 5.0)])
    for live in (first, second):
        live.add("ada", 5, None, past)
        for one, other in zip(live.neighbours(np.array([3, 4])), third.neighbours(np.array([3, 4])), strict=True):
            np.testing.assert_allclose(dense(one, 9), dense(other, 9))
        assert len(live) == 1


def test_users_without_events_are_bounded_too(small):
    live = live_of_nothing()
    for user in range(100):
        live.add(f"user {user}", 1)
        live.dislike(f"user {user}", 1)
    assert len(live) == 0
    assert len(live._users) == module.MAX_EVENTS
    assert live.popularity(np.arange(9)).tolist() == [0.0] * 9


def test_weights_of_one_teach_what_events_without_weights_do():
    """Bit for bit, and who took what is what it was before there were weights."""
    rng = np.random.default_rng(0)
    user_E, item_E = np.sort(rng.integers(0, 40, 600)), rng.integers(0, 30, 600)
    events = TrainingEvents(40, 30, user_E, item_E, rng.integers(-1, len(TEXTS), 600), TEXTS)
    settings = PriorSettings()
    one = learn(events, no_kinds(30), split, settings_of(settings))
    other = learn(replace(events, weights=np.ones(600)), no_kinds(30), split, settings_of(settings))
    for name in ("evidence_VG", "events_N", "steps_N", "takers_N"):
        assert getattr(one, name).tobytes() == getattr(other, name).tobytes(), name
    for name in ("count_TN", "ease_NN", "transitions_NN", "item_knn_NN"):
        for part in ("data", "indices", "indptr"):
            own, equal = getattr(getattr(one, name), part), getattr(getattr(other, name), part)
            assert own.tobytes() == equal.tobytes(), name
    plain_UN = np.zeros((40, 30))
    plain_UN[user_E, item_E] = 1
    assert events.taken().toarray().tobytes() == plain_UN.tobytes()
    assert one.takers_N.tolist() == plain_UN.sum(0).tolist()
    assert one.events_N.tolist() == np.bincount(item_E, minlength=30).tolist()


def test_a_purchase_of_five_views_counts_as_five_of_them_everywhere():
    """Once with the weight, and once with as many events of as many people."""
    user_E, item_E, query_E = np.arange(6), np.array([0, 1, 0, 1, 2, 2]), np.array([0, 0, 1, 1, 0, NO_QUERY])
    weight_E = np.array([5.0, 1.0, 2.0, 1.0, 3.0, 1.0])
    heavy = TrainingEvents(6, 3, user_E, item_E, query_E, TEXTS, weights=weight_E)
    times = weight_E.astype(int)
    many = TrainingEvents(
        int(times.sum()), 3, np.arange(times.sum()), *(np.repeat(own, times) for own in (item_E, query_E)), TEXTS
    )
    kinds = Taste(
        np.array([0, 1, 1], np.int32), np.array([0, 0, 1], np.int32), np.ones(3), {"a": 0, "b": 1}, {"c": 0, "d": 1}
    )
    neighbours = (EaseSettings(), TransitionSettings(), ItemKnnSettings())
    one, other = learn(heavy, kinds, split, neighbours), learn(many, kinds, split, neighbours)
    for name in ("evidence_VG", "events_N", "steps_N", "takers_N"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), err_msg=name)
    np.testing.assert_allclose(one.count_TN.toarray(), other.count_TN.toarray())


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(module, "MAX_EVENTS", 12)
    monkeypatch.setattr(module, "MAX_OF_USER", 6)


def test_what_is_remembered_is_bounded(small):
    """Of a user the older half goes; beyond all, who did nothing for the longest time."""
    none = np.empty(0, np.int64)
    events = TrainingEvents(8, 9, none, none, none, TEXTS)
    settings = PriorSettings()
    neighbours = (settings.ease, settings.transitions, settings.item_knn)
    live = LiveEvents(learn(events, no_kinds(9), split, neighbours), settings, split)
    of_one = [(0, item % 9, TEXTS[item % 5]) for item in range(8)]
    add(live, events, of_one)
    assert len(live) == 5
    check_equal_to_a_fit(live, all_events(events, of_one[3:], 9), settings, [np.array([1, 2])])
    of_two = [(1, item, None) for item in range(5)]
    of_three = [(2, item, "lamp") for item in range(4)]
    add(live, events, of_two)
    add(live, events, of_three)
    assert len(live) == 9
    check_equal_to_a_fit(live, all_events(events, [*of_two, *of_three], 9), settings, [np.array([1, 2])])


def test_events_that_come_and_go_leave_no_memory_behind():
    none = np.empty(0, np.int64)
    events = TrainingEvents(8, 9, none, none, none, ())
    settings = PriorSettings()
    neighbours = (settings.ease, settings.transitions, settings.item_knn)
    live = LiveEvents(learn(events, no_kinds(9), split, neighbours), settings, split)
    draw = np.random.default_rng(0)
    for turn in range(60):
        for item in draw.integers(0, 2_000, 40).tolist():
            live.add(f"user {turn}", item, "a lamp")
        live.erase(f"user {turn}")
    assert len(live) == 0
    cells = [len(own._counts) for own in (live._transitions, live._item_knn)]
    assert max(cells) < 4_000, "of 40 events there are at most 400 at a time"


@given(training_events(max_users=5, max_items=7), live_events, st.lists(st.integers(0, 8), max_size=6))
def test_the_origin_of_every_item_is_that_which_alone_says_most_of_it(events, live, history):
    settings = PriorSettings()
    neighbours = settings.ease, settings.transitions, settings.item_knn
    taken = LiveEvents(learn(events, no_kinds(events.items), split, neighbours), settings, split)
    taken.make_room(9)
    for user, item, text in live:
        taken.add(f"u{user}", item, text)
    asked = {"ease": taken._ease, "transitions": taken._transitions, "item_knn": taken._item_knn}
    for source, own in asked.items():
        newest = list(dict.fromkeys(history[::-1]))[: own._last]
        expected = {}
        for item in range(9):
            says = []
            for age, earlier in enumerate(newest):
                item_S, value_S = own._sum_of(np.array([earlier]), np.array([own._decay**age]))
                says.append(value_S[item_S == item].sum())
            if max(says, default=0) > 0:
                expected[item] = newest[int(np.argmax(says))]
        found = taken.origins(source, np.array(history, np.int64), range(9))
        assert found == expected
        assert taken.origins(source, np.array(history, np.int64), []) == {}
