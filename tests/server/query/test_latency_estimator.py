"""What is expected of the next answers."""

import random

from server.query.latency_estimator import LatencyEstimator


def taught(*costs: float) -> LatencyEstimator:
    expectation = LatencyEstimator()
    for cost in costs:
        expectation.learn(cost, complete=True)
    return expectation


def test_nothing_is_expected_before_anything_is_known() -> None:
    expectation = LatencyEstimator()
    assert (expectation.wait(10), expectation.answer(10, surely=True)) == (0.0, 0.0)


def test_so_many_questions_take_that_many_times_as_long() -> None:
    expectation = taught(*[0.1] * 5)
    assert expectation.wait(3) == 3 * expectation.wait(1)
    assert abs(expectation.answer(20, surely=False) - 2.0) < 1e-9


def test_hardly_an_answer_takes_longer_than_surely_said() -> None:
    draws = random.Random(1)
    costs = [draws.lognormvariate(-0.125, 0.5) for _ in range(2_000)]
    expectation, longer = taught(*costs[:200]), 0
    for cost in costs[200:]:
        longer += cost > expectation.answer(1, surely=True)
        expectation.learn(cost, complete=True)
    assert longer < 0.02 * len(costs)


def test_answers_that_were_all_alike_do_not_make_sure_that_the_next_is() -> None:
    expectation = taught(*[0.1] * 50)
    assert expectation.answer(1, surely=True) > 1.4 * expectation.answer(1, surely=False)


def test_the_estimate_follows_the_engine() -> None:
    assert abs(taught(*[0.1] * 50, *[0.3] * 60).wait(1) - 0.3) < 0.01


def test_one_quick_answer_shows_that_a_disturbance_is_over() -> None:
    expectation = taught(*[100.0] * 50, 0.1)
    assert expectation.answer(1, surely=False) <= 0.4
    assert expectation.answer(1, surely=True) < 4.0


def test_a_question_that_was_given_up_tells_only_that_it_would_have_taken_longer() -> None:
    expectation = taught(*[0.1] * 50)
    expectation.learn(0.001, complete=False)
    assert expectation.wait(1) == taught(*[0.1] * 50).wait(1)
    expectation.learn(0.5, complete=False)
    assert expectation.wait(1) > 0.1
