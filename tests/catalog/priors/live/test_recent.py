"""What is taken lately, against sums in plain Python."""

import math

import numpy as np
import pytest

from catalog.priors.live.recent import HALF_LIFE_MS, RecentEvents, trends


def test_events_halve_every_half_life_and_those_to_come_count_once() -> None:
    recent = RecentEvents()
    for item, age in [(0, 0.0), (1, 1.0), (1, 2.0), (3, -5.0), (9, 0.0)]:
        recent.add("ada", item, int(1e12 - age * HALF_LIFE_MS))
    assert recent.decayed(10**12, 5) == pytest.approx([1, 0.75, 0, 1, 0])


def test_the_newest_are_remembered_and_an_erased_user_is_not() -> None:
    recent = RecentEvents(most=3)
    for item, user in enumerate(["ada", "bob", "ada", "cleo"]):
        recent.add(user, item, 0)
    assert recent.decayed(0, 4).tolist() == [0, 1, 1, 1]
    recent.erase("ada")
    recent.erase("nobody")
    assert recent.decayed(0, 4).tolist() == [0, 1, 0, 1]
    for item in range(4):
        recent.add("dora", item, 0)
    assert len(recent) == 3
    assert recent.decayed(0, 4).tolist() == [0, 1, 1, 1]


def test_events_count_their_weights_and_those_of_an_item_that_is_disliked_since_are_forgotten() -> None:
    recent = RecentEvents()
    for user, item, weight in [("ada", 0, 5.0), ("ada", 1, 0.5), ("bob", 0, 1.0)]:
        recent.add(user, item, 0, weight)
    assert recent.decayed(HALF_LIFE_MS, 2) == pytest.approx([3, 0.25])
    recent.dislike("ada", 0)
    recent.dislike("bob", 1)
    assert recent.decayed(0, 2).tolist() == [1, 0.5]


def test_a_trend_is_what_exceeds_the_expected_in_deviations() -> None:
    recent_N, all_N = np.array([10.0, 10.0, 0.0, 1.0]), np.array([10.0, 990.0, 49.0, 1.0])
    share = 21 / 1_050
    expected = [(10 - 10 * share) / math.sqrt(10 * share + 1), 0, 0, (1 - share) / math.sqrt(share + 1)]
    assert trends(recent_N, all_N) == pytest.approx(expected)
    assert trends(np.zeros(3), np.zeros(3)).tolist() == [0, 0, 0]
