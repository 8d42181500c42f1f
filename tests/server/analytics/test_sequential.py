"""Rates and the test of two rates, against what is known of them."""

import numpy as np
import pytest

from server.analytics.sequential import ALPHA, compare, rate


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0), (81, 263, 0.2553, 0.3662)],
)
def test_wilsons_interval(successes: int, trials: int, low: float, high: float) -> None:
    """The last is Newcombe's example (Statistics in Medicine 17, 1998)."""
    found = rate(successes, trials)
    assert (found.low, found.high) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))


def test_nobody_is_no_rate() -> None:
    assert rate(0, 0).rate is None
    assert compare(0, 0, 5, 10).decided is False


def test_looking_every_day_decides_wrongly_no_more_often_than_it_says() -> None:
    """Equal rates, looked at after every hundred users of each: a fixed test at 5% would be wrong in a third."""
    random = np.random.default_rng(7)
    runs, looks, step = 400, 60, 100
    reached = random.binomial(step, 0.3, (2, runs, looks)).cumsum(2)
    users = step * np.arange(1, looks + 1)
    wrong = sum(
        any(
            compare(one, of, other, of).decided
            for one, other, of in zip(*reached[:, run].tolist(), users.tolist(), strict=True)
        )
        for run in range(runs)
    )
    assert wrong / runs <= ALPHA


def test_a_difference_is_found_and_its_interval_holds_it() -> None:
    found = compare(3_300, 10_000, 3_000, 10_000)
    assert found.decided
    assert found.low is not None
    assert found.high is not None
    assert 0 < found.low < 0.03 < found.high
    other = compare(3_000, 10_000, 3_300, 10_000)
    assert (other.difference, other.p_value) == (pytest.approx(-0.03), found.p_value)
    assert not compare(310, 1_000, 300, 1_000).decided


def test_the_interval_leaves_out_no_difference_exactly_where_it_is_decided() -> None:
    for others in range(2_500, 3_500, 10):
        found = compare(3_000, 10_000, others, 10_000)
        assert found.low is not None
        assert found.high is not None
        assert found.decided == (not found.low <= 0 <= found.high)
