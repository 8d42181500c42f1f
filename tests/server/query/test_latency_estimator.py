"""What is expected of the next answers."""

import random

from server.query.latency_estimator import LatencyEstimator


def taught(*costs: float) -> LatencyEstimator:
    estimator = LatencyEstimator()
    for cost in costs:
        estimator.observe(cost, complete=True)
    return estimator


def test_nothing_is_expected_before_anything_is_known() -> None:
    estimator = LatencyEstimator()
    assert (estimator.queue_seconds(10), estimator.latency(10, pessimistic=True)) == (0.0, 0.0)


def test_so_many_questions_take_that_many_times_as_long() -> None:
    estimator = taught(*[0.1] * 5)
    assert estimator.queue_seconds(3) == 3 * estimator.queue_seconds(1)
    assert abs(estimator.latency(20, pessimistic=False) - 2.0) < 1e-9


def test_hardly_an_answer_takes_longer_than_surely_said() -> None:
    draws = random.Random(1)
    costs = [draws.lognormvariate(-0.125, 0.5) for _ in range(2_000)]
    estimator, longer = taught(*costs[:200]), 0
    for cost in costs[200:]:
        longer += cost > estimator.latency(1, pessimistic=True)
        estimator.observe(cost, complete=True)
    assert longer < 0.02 * len(costs)


def test_answers_that_were_all_alike_do_not_make_sure_that_the_next_is() -> None:
    estimator = taught(*[0.1] * 50)
    assert estimator.latency(1, pessimistic=True) > 1.4 * estimator.latency(1, pessimistic=False)


def test_the_estimate_follows_the_engine() -> None:
    assert abs(taught(*[0.1] * 50, *[0.3] * 60).queue_seconds(1) - 0.3) < 0.01


def test_one_quick_answer_shows_that_a_disturbance_is_over() -> None:
    estimator = taught(*[100.0] * 50, 0.1)
    assert estimator.latency(1, pessimistic=False) <= 0.4
    assert estimator.latency(1, pessimistic=True) < 4.0


def test_a_question_that_was_given_up_tells_only_that_it_would_have_taken_longer() -> None:
    estimator = taught(*[0.1] * 50)
    estimator.observe(0.001, complete=False)
    assert estimator.queue_seconds(1) == taught(*[0.1] * 50).queue_seconds(1)
    estimator.observe(0.5, complete=False)
    assert estimator.queue_seconds(1) > 0.1
