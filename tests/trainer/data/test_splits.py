"""Splits of arrays are those of a user at a time, question by question, however the users are cut into blocks."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.data import histories as histories_module
from trainer.data.histories import NO_QUERY, Histories
from trainer.data.questions import Questions, count_questions, drawn_questions
from trainer.data.splits import leave_one_out, quantile, time_cut

Asked = tuple[int, int]
"""The event that is asked for, and where its history stops."""

event = st.tuples(st.integers(0, 3), st.integers(0, 3), st.sampled_from([NO_QUERY, NO_QUERY, 0, 1]))
users = st.lists(st.lists(event, max_size=14), min_size=1, max_size=6)


def histories(own: list[list[tuple[int, int, int]]]) -> Histories:
    """Of each user the items, the milliseconds since the event before, and the queries."""
    rows = np.array([row for one in own for row in one], np.int64).reshape(-1, 3)
    times = np.concatenate(
        [np.empty(0, np.int64), *(np.cumsum([gap for _, gap, _ in one], dtype=np.int64) for one in own)]
    )
    starts = np.r_[0, np.cumsum([len(one) for one in own])]
    return Histories(tuple(map(str, range(len(own)))), starts, rows[:, 0], rows[:, 2], times, ("rope", "lamp"))


def answerable(h: Histories, user: int) -> Iterator[list[int]]:
    """A user's events that may be asked for: recommendations of the first encounter with an item, and searches."""
    own = range(*h.span(user).indices(len(h)))
    first = {int(h.items_E[e]): int(h.times_E[e]) for e in reversed(own)}
    yield [e for e in own if h.queries_E[e] == NO_QUERY and h.times_E[e] == first[int(h.items_E[e])]]
    yield [e for e in own if h.queries_E[e] != NO_QUERY]


def asked(h: Histories, user: int, event: int) -> Asked:
    stop = event
    while stop > h.span(user).start and h.items_E[stop - 1] == h.items_E[event]:
        stop -= 1
    return event, stop


def expected(h: Histories, late: float | None, later: float | None) -> tuple[list[Asked], list[Asked], list[int]]:
    validation, test = [], []
    for user in range(len(h.users)):
        for events in answerable(h, user):
            if late is None or later is None:
                if len(events) >= 3:
                    test.append(asked(h, user, events[-1]))
                    validation += [asked(h, user, e) for e in events if e < test[-1][1]][-1:]
            else:
                validation += [asked(h, user, e) for e in events if late <= h.times_E[e] < later][:1]
                test += [asked(h, user, e) for e in events if later <= h.times_E[e]][:1]
    kept = [e for e in range(len(h)) if late is None or h.times_E[e] < late]
    for event, stop in (*validation, *test):
        end = h.span(h.user_of(event)).stop
        kept = [e for e in kept if not (stop <= e < end and h.items_E[e] == h.items_E[event])]
    return validation, test, kept


@pytest.mark.parametrize("by_time", [False, True])
@settings(deadline=None)
@given(own=users, block=st.sampled_from([1, 7, 1000]))
def test_splits_are_those_of_a_user_at_a_time(by_time: bool, own, block: int) -> None:
    h = histories(own)
    if len(h) == 0:
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(histories_module, "BLOCK", block)
        split = time_cut(h, 0.2) if by_time else leave_one_out(h)
    cuts = np.quantile(h.times_E, [0.6, 0.8]).tolist() if by_time else [None, None]
    validation, test, kept = expected(h, *cuts)
    for questions, wanted in ((split.validation, validation), (split.test, test)):
        assert [(q.user, q.start, q.stop, q.item, q.query) for q in questions] == [
            (h.user_of(e), h.span(h.user_of(e)).start, stop, h.items_E[e], h.query(e)) for e, stop in wanted
        ]
        for task in ("search", "recommendation"):
            assert drawn_questions(questions, task, 1000) == [q for q in questions if q.task == task]
    for name in ("items_E", "times_E"):
        np.testing.assert_array_equal(getattr(split.train, name), getattr(h, name)[kept])
    assert [split.train.query(e) for e in range(len(split.train))] == [h.query(e) for e in kept]
    assert [split.train.user_of(e) for e in range(len(split.train))] == [h.user_of(e) for e in kept]


def test_of_many_questions_a_sample_is_drawn_by_the_seed_in_their_order() -> None:
    h = histories([[(item, 1, NO_QUERY) for item in range(4)]] * 50)
    test = leave_one_out(h).test
    drawn = drawn_questions(test, "recommendation", 10, seed=1)
    assert drawn == drawn_questions(tuple(test), "recommendation", 10, seed=1)
    assert len(drawn) == 10
    assert [q.user for q in drawn] == sorted({q.user for q in drawn})
    assert drawn != drawn_questions(test, "recommendation", 10, seed=2)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 1 / 3])
@given(numbers=st.lists(st.integers(0, 40) | st.integers(0, 4_102_444_800_000), min_size=1, max_size=40))
def test_quantiles_are_numpys_bit_for_bit(share: float, numbers: list[int]) -> None:
    assert quantile(np.array(numbers), share) == np.quantile(numbers, share)


def test_questions_of_some_users_are_those_of_them() -> None:
    test = leave_one_out(histories([[(item, 1, NO_QUERY) for item in range(4)]] * 6)).test
    assert isinstance(test, Questions)
    chosen = np.array([True, False, True, False, False, True])
    assert list(test.of_users(chosen)) == [q for q in test if chosen[q.user]]
    assert [count_questions(test, most) for most in (4, 6, 100)] == [4, 6, 6]
