"""What a held-out question says of items that were shown and left: nothing of the answer itself, and nothing later."""

import numpy as np
import pyarrow as pa
import pytest

from catalog.data.items import Items
from catalog.priors.live.shown import MAX_IMPRESSIONS, shown
from trainer.data.histories import Histories
from trainer.data.questions import left_beside, shown_before
from trainer.data.splits import leave_one_out
from trainer.evaluation.baselines import training_events

ITEMS = Items(pa.table({"item_id": [f"i{n}" for n in range(10)], "title": ["x"] * 10}))
DAY = 86_400_000
TAKEN = [("a", 0, 10, "click", None), ("a", 1, 20, "click", None), ("a", 2, 40, "click", "r2")]
LIST = [("a", item, 39, "impression", "r2") for item in (2, 5, 6, 0)]


def histories(rows, *, named=True):
    """rows: user, item, day, type and the answer that it names."""
    users, items, days, kinds, answers = zip(*rows, strict=True)
    columns = {
        "user_id": users,
        "item_id": [f"i{item}" for item in items],
        "timestamp": pa.array([int(day * DAY) for day in days], pa.int64()),
        "type": kinds,
        "query": pa.nulls(len(rows), pa.string()),
        "request_id": pa.array(answers, pa.string()),
    }
    if not named:
        del columns["request_id"]
    return Histories.from_events(pa.table(columns), ITEMS)


def asked(h, item=2):
    (question,) = [q for q in (*leave_one_out(h).test, *leave_one_out(h).validation) if q.item == item]
    return question


def left(h, item=2, question=None):
    found = shown_before(h, question or asked(h, item))
    return dict(zip(found.item_S.tolist(), found.value_S.tolist(), strict=True))


def feature(days_ago):
    return shown(np.zeros(len(days_ago), np.int64), -DAY * np.array(days_ago), 0).value_S[0]


def test_the_list_that_led_to_the_right_item_counts_nothing():
    """Else the right item would be known by having been shown."""
    h = histories([*TAKEN, *LIST])
    assert left(h) == {}
    assert left_beside(h, asked(h)).tolist() == [0, 5, 6]


def test_what_was_shown_before_counts_as_long_as_the_user_did_not_take_it():
    before = [("a", item, day, "impression", "r1") for item, day in [(5, 30), (5, 38), (2, 30), (0, 5), (1, 25)]]
    h = histories([*TAKEN, *LIST, *before])
    assert left(h) == pytest.approx({1: feature([14]), 2: feature([9]), 5: feature([9, 1])})
    assert left(h, 1) == {}


def test_without_an_answer_that_is_known_what_came_after_the_last_event_may_be_its_list():
    rows = [*TAKEN[:2], ("a", 2, 40, "click", "unknown"), ("a", 5, 20, "impression", None), *LIST]
    for h in (histories(rows), histories(rows, named=False)):
        assert left(h) == pytest.approx({5: feature([20])})
        assert len(left_beside(h, asked(h))) == 0
    alone = histories([*TAKEN, *[(*row[:4], "r2" if row[3] == "click" else None) for row in LIST]])
    assert left(alone) == {}


def test_what_others_were_shown_and_what_came_later_changes_nothing():
    before = [("a", 5, 30, "impression", "r1")]
    h = histories([*TAKEN, *LIST, *before])
    later = [("a", item, 41, "impression", "r3") for item in range(10)] + [("a", 5, 42, "purchase", "r3")]
    others = [("b", item, 30, "impression", "r2") for item in range(10)]
    disliked = [("a", 5, 35, "dislike", None)]
    more = histories([*TAKEN, *LIST, *before, *later, *others, *disliked])
    question = asked(h)
    assert more.users[question.user] == "a"
    assert left(h) == left(more, question=question) == {5: feature([9])}
    assert left_beside(more, question).tolist() == left_beside(h, question).tolist() == [0, 5, 6]


def test_items_that_were_taken_of_a_list_were_not_left_there():
    h = histories([*TAKEN, ("a", 6, 50, "purchase", "r2"), ("a", 7, 60, "click", None), *LIST])
    assert left_beside(h, asked(h, 6)).tolist() == [0, 5]


def test_impressions_are_never_trained_on_and_of_unknown_items_nothing():
    h = histories([*TAKEN, *LIST, ("a", 11, 30, "impression", "r1"), ("c", 4, 1, "impression", None)])
    assert h.items_E.tolist() == [0, 1, 2]
    split = leave_one_out(h)
    assert split.train.impressions is None
    assert set(training_events(split.full, 10).item_E.tolist()) == {0, 1, 2}
    assert left(h) == {}
    plain = histories(TAKEN)
    assert (plain.impressions, left(plain)) == (None, {})


def test_the_newest_count():
    many = [("a", 3 + n % 2, 21 + n * 1e-5, "impression", "r1") for n in range(0, 2 * MAX_IMPRESSIONS)]
    h = histories([*TAKEN, *LIST, *[(user, item, day, kind, name) for user, item, day, kind, name in many]])
    per_item = MAX_IMPRESSIONS // 2
    assert left(h) == pytest.approx(dict.fromkeys((3, 4), feature([18.0] * per_item)), abs=1e-3)
