import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.data.items import Items
from trainer.core.errors import TrainerError
from trainer.data.histories import Histories
from trainer.data.splits import SPLITS, leave_one_out, time_cut

ITEMS = Items(pa.table({"item_id": [f"i{n}" for n in range(10)], "title": ["x"] * 10}))


def histories(*rows):
    users, items, times, queries = zip(*rows, strict=True)
    return Histories.from_events(
        pa.table(
            {
                "user_id": users,
                "item_id": items,
                "timestamp": pa.array(times, pa.int64()),
                "type": ["view"] * len(rows),
                "query": pa.array(queries, pa.string()),
            }
        ),
        ITEMS,
    )


def browsing(user, *items, start=0):
    return [(user, f"i{item}", start + n, None) for n, item in enumerate(items)]


def test_events_are_grouped_by_user_in_time_order():
    h = histories(("b", "i1", 5, None), ("a", "i2", 9, "lamp"), ("a", "i3", 1, None))
    by_user = {h.users[u]: [(int(h.items_E[e]), h.query(e)) for e in range(*h.span(u).indices(99))] for u in range(2)}
    assert by_user == {"b": [(1, None)], "a": [(3, None), (2, "lamp")]}


def test_consecutive_repeats_are_one_event_but_a_search_for_the_same_item_is_another():
    h = histories(*browsing("a", 1, 1, 2, 1), ("a", "i1", 9, "rope"))
    assert h.items_E.tolist() == [1, 2, 1, 1]


def test_events_of_unknown_items_are_left_out():
    assert len(histories(*browsing("a", 1), ("a", "gone", 5, None))) == 1
    with pytest.raises(TrainerError, match="--items and --events"):
        histories(("a", "gone", 5, None))


def test_leave_one_out_holds_out_the_last_of_each_task():
    h = histories(
        *browsing("a", 0, 1, 2, 3),
        *[("a", f"i{n}", 10 + n, f"query {n}") for n in (4, 5, 6)],
        *browsing("b", 7, 8),
    )
    split = leave_one_out(h)
    held = {(q.task, name): (q.item, q.query) for name in ("validation", "test") for q in getattr(split, name)}
    assert held == {
        ("recommendation", "validation"): (2, None),
        ("recommendation", "test"): (3, None),
        ("search", "validation"): (5, "query 5"),
        ("search", "test"): (6, "query 6"),
    }
    assert split.train.items_E.tolist() == [0, 1, 4, 7, 8]
    assert [split.train.items_E[split.train.span(u)].tolist() for u in range(2)] == [[0, 1, 4], [7, 8]]


def test_a_known_item_is_no_recommendation_question():
    split = leave_one_out(histories(*browsing("a", 0, 1, 2, 3, 0, 1)))
    assert [q.item for q in split.test] == [3]


def test_no_question_knows_its_future():
    generator = np.random.default_rng(0)
    h = histories(
        *[
            (f"u{n % 7}", f"i{generator.integers(10)}", int(t), None)
            for n, t in enumerate(generator.integers(0, 99, 200))
        ]
    )
    for split in (leave_one_out(h), time_cut(h, 0.2)):
        assert split.test
        for q in (*split.validation, *split.test):
            own = [e for e in range(*h.span(q.user).indices(len(h))) if h.items_E[e] == q.item and e >= q.stop]
            assert (h.times_E[q.start : q.stop] <= h.times_E[own[0]]).all()


def test_a_time_cut_trains_on_nothing_after_it():
    h = histories(*[row for user in range(6) for row in browsing(f"u{user}", *range(10), start=user)])
    split = time_cut(h, 0.2)
    first_held = min(h.times_E[q.stop] for q in (*split.validation, *split.test))
    assert split.train.times_E.max() < first_held
    assert max(h.times_E[q.stop] for q in split.validation) < min(h.times_E[q.stop] for q in split.test)


def test_users_without_a_kept_event_stay_in_place():
    h = histories(*browsing("a", 0), *browsing("b", 1), *browsing("c", 2, 3))
    kept = h.keep(np.array([True, False, True, True]))
    assert [kept.items_E[kept.span(u)].tolist() for u in range(3)] == [[0], [], [2, 3]]
    kept = h.keep(np.array([True, True, False, False]))
    assert [kept.items_E[kept.span(u)].tolist() for u in range(3)] == [[0], [1], []]


def test_an_answer_cannot_be_copied_from_the_event_before():
    h = histories(*browsing("a", 0, 1), *[("a", "i5", 10 + n, f"tag {n}") for n in range(4)])
    (question,) = [q for q in leave_one_out(h).test if q.task == "search"]
    assert (question.query, h.items_E[question.start : question.stop].tolist()) == ("tag 3", [0, 1])


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from([f"i{n}" for n in range(6)]),
        st.integers(0, 12),  # few moments, so that many events share one
        st.sampled_from([None, None, "rope", "lamp"]),
    ),
    min_size=1,
    max_size=60,
)


@pytest.mark.parametrize("split", SPLITS.values(), ids=SPLITS)
@settings(deadline=None)
@given(rows=EVENTS)
def test_nothing_from_a_held_out_event_on_is_trained_on(split, rows):
    h = histories(*rows)
    divided = split(h)
    train = divided.train

    def events_of_pair(of, user, item, stop=None):
        numbers = range(*of.span(user).indices(len(of)))[: None if stop is None else stop - of.span(user).start]
        return [(int(of.times_E[e]), of.query(e)) for e in numbers if of.items_E[e] == item]

    for q in (*divided.validation, *divided.test):
        before = events_of_pair(h, q.user, q.item, q.stop)
        trained = events_of_pair(train, q.user, q.item)
        assert set(trained) <= set(before)
        assert q.known == bool(before)
        if not q.known:
            assert not trained
        if q.task == "recommendation":
            assert not q.known
        held = events_of_pair(h, q.user, q.item)[len(before) :]
        assert q.query in [query for _, query in held]
        assert all(time <= held[0][0] for time in h.times_E[q.start : q.stop])
    assert set(train.texts) == {train.query(e) for e in range(len(train))} - {None}


@pytest.mark.parametrize("split", SPLITS.values(), ids=SPLITS)
@settings(deadline=None)
@given(rows=EVENTS, chance=st.randoms(use_true_random=False))
def test_the_questions_do_not_depend_on_the_order_of_the_rows(split, rows, chance):
    def asked(rows):
        divided = split(histories(*rows))
        users = divided.full.users
        return {
            name: {
                (users[q.user], q.task, q.item, q.query, q.known, tuple(divided.full.items_E[q.start : q.stop]))
                for q in getattr(divided, name)
            }
            for name in ("validation", "test")
        }

    shuffled = list(rows)
    chance.shuffle(shuffled)
    assert asked(shuffled) == asked(rows)


def test_validation_asks_for_something_that_stands_before_the_visit_of_the_test():
    searches = [("a", "i5", 10, "one"), ("a", "i6", 11, "two"), ("a", "i5", 12, "three"), ("a", "i5", 13, "four")]
    split = leave_one_out(histories(*browsing("a", 0, 1), *searches))
    assert [(q.item, q.query, q.known) for q in split.test if q.task == "search"] == [(5, "four", True)]
    assert [(q.item, q.query, q.known) for q in split.validation if q.task == "search"] == [(6, "two", False)]
    assert [(i, split.train.query(e)) for e, i in enumerate(split.train.items_E)] == [(0, None), (1, None), (5, "one")]


def test_a_search_and_an_event_of_one_moment_are_one_encounter_with_two_questions():
    rows = [("a", f"i{n}", 100 * n, query) for n in range(5) for query in (f"query {n}", None)]
    split = leave_one_out(histories(*rows))
    assert {(q.task, q.item, q.stop) for q in split.test} == {("search", 4, 8), ("recommendation", 4, 8)}
    assert {(q.task, q.item, q.stop) for q in split.validation} == {("search", 3, 6), ("recommendation", 3, 6)}
    assert split.train.items_E.tolist() == [0, 0, 1, 1, 2, 2]
    late = [(user, item, time + (query is None), query) for user, item, time, query in rows]
    assert {q.task for q in leave_one_out(histories(*late)).test} == {"search"}  # the item was found by the search


def test_a_sample_has_whole_users_and_no_more_events_than_it_may():
    h = histories(*(row for user in range(30) for row in browsing(f"u{user}", *range(1 + user % 5))))
    assert h.sample(len(h)) is h
    sample = h.sample(40, seed=1)
    counts, every = np.diff(sample.starts_U1), np.diff(h.starts_U1)
    assert 40 - every.max() < len(sample) <= 40
    assert set(zip(counts, every, strict=True)) <= {(0, n) for n in every} | {(n, n) for n in every}
    for user in np.flatnonzero(counts).tolist():
        np.testing.assert_array_equal(sample.items_E[sample.span(user)], h.items_E[h.span(user)])
    np.testing.assert_array_equal(h.sample(40, seed=1).starts_U1, sample.starts_U1)
    assert h.sample(40, seed=2).starts_U1.tolist() != sample.starts_U1.tolist()
    assert len(histories(*browsing("a", *range(9))).sample(3)) == 9, "of one user who has more, all"
