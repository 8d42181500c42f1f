"""Calibrations find the probabilities by which people choose, and their reliability is that of questions not seen."""

import numpy as np
import pytest

from catalog.priors.priors import FEATURES
from catalog.priors.weights import USUAL_WEIGHTS
from catalog.search.calibration import Calibration, TaskCalibration
from trainer.evaluation.guidance import MIN_QUESTIONS, Choice, learn_from
from trainer.evaluation.guidance.calibrated import calibrate, relevance_of
from trainer.evaluation.guidance.conditional_logit import cross_fitted
from trainer.evaluation.guidance.reliability import ANSWER, Answered, reliability

USUAL = USUAL_WEIGHTS["recommendation"]
EASE = 1 + FEATURES.index("ease")
TRUE_F = np.zeros(1 + len(FEATURES))
TRUE_F[[0, EASE]] = 0.3, 6.0


def choices_of(count, *, weight_F=TRUE_F, seed=0):
    """Choices of people with these weights, of whom every fifth wants what is no candidate."""
    generator = np.random.default_rng(seed)
    made = []
    for place in range(count):
        value_CF = np.zeros((30, 1 + len(FEATURES)))
        value_CF[:, 0] = -generator.exponential(3, 30)
        value_CF[:, EASE] = generator.random(30) ** 4
        right = int((value_CF @ weight_F + generator.gumbel(size=30)).argmax())
        made.append(Choice(value_CF, None if place % 5 == 0 else right, place, value_CF[:, 1:]))
    return made


def calibrated(choices, others=()):
    return calibrate(choices, others, learn_from([*choices, *others], USUAL), USUAL)


def answers(choices, weight_F):
    from catalog.search.calibration import rivals_of

    found = []
    for choice in choices:
        score_C = choice.value_CF @ weight_F
        order_C = np.argsort(-score_C)
        found.append((score_C[order_C], rivals_of(choice.said_CF @ weight_F[1:]), order_C == choice.right))
    return Answered.of(found)


def test_what_is_said_to_be_likely_is_as_likely_for_questions_that_come_later():
    choices = choices_of(1_500)
    learned = learn_from(choices, USUAL)
    own = calibrate(choices, (), learned, USUAL)
    weight_F = np.r_[learned.weights.model, learned.weights.feature_F]
    later = answers(choices_of(1_500, seed=1), weight_F)
    assert own.calibrations.guided is not None
    figures = reliability(relevance_of(later, own.calibrations.guided), later)
    assert figures["expected_calibration_error"] < 0.02
    assert figures["first"]["expected_calibration_error"] < 0.05
    assert own.validation["guided"]["expected_calibration_error"] < 0.02
    assert figures["bins"][-1]["right"] > 10 * figures["bins"][0]["right"]


def test_a_question_whose_item_is_no_candidate_counts_as_one_that_nothing_answers():
    choices = choices_of(500)
    right = sum(choice.right is not None for choice in choices)
    assert right == 400
    assert learn_from(choices, USUAL).questions == 400
    guided = calibrated(choices).calibrations.guided
    assert guided is not None
    assert 0 < guided.usual <= right / (ANSWER * len(choices))


def test_weights_of_a_fold_have_seen_none_of_its_questions_in_any_way_of_asking():
    choices = choices_of(100)
    halves = [Choice(one.value_CF / 2, one.right, one.question, one.said_CF) for one in choices]
    every = [*choices, *halves]
    learned = learn_from(every, USUAL)
    seen = []
    for places, weight_F in cross_fitted(every, learned, USUAL):
        assert {every[place].question for place in places}.isdisjoint(
            {every[place].question for place in set(range(200)) - set(places)}
        )
        seen += places
        changed = [
            Choice(one.value_CF, 0 if place in places else one.right, one.question, one.said_CF)
            for place, one in enumerate(every)
        ]
        again = dict(zip(map(tuple, _places(changed, learned)), _weights(changed, learned), strict=True))
        np.testing.assert_array_equal(again[tuple(places)], weight_F)
    assert sorted(seen) == list(range(200))


def _places(choices, learned):
    return [places for places, _ in cross_fitted(choices, learned, USUAL)]


def _weights(choices, learned):
    return [weight_F for _, weight_F in cross_fitted(choices, learned, USUAL)]


@pytest.mark.parametrize("count", [0, 1, MIN_QUESTIONS - 1])
def test_few_questions_calibrate_nothing(count):
    own = calibrated(choices_of(count))
    assert own.calibrations == TaskCalibration()
    assert own.validation == {}


def test_scores_that_mislead_are_not_calibrated():
    """A lower score would have a higher relevance, so none is said."""
    choices = choices_of(400)
    for choice in choices:  # the right item is never what the model thinks best, and the worse the likelier
        choice.value_CF[:, 0] = -np.arange(30.0)
        if choice.right is not None:
            choice.value_CF[[choice.right, 9]] = choice.value_CF[[9, choice.right]]
    choices = [Choice(one.value_CF, None if one.right is None else 9, one.question, one.said_CF) for one in choices]
    assert calibrated(choices).calibrations.model is None


def test_reliability_is_the_mean_distance_of_bins_of_equally_many_items():
    answered = Answered.of([(np.zeros(10), 0.0, np.arange(10) == place % 10) for place in range(20)])
    even = reliability(np.full(200, 0.1), answered)
    assert even["items"] == 200
    assert even["first"]["items"] == 20
    assert even["expected_calibration_error"] == pytest.approx(
        np.mean([abs(0.1 - one["right"]) for one in even["bins"]])
    )
    sure = reliability(answered.right_A.astype(float), answered)
    assert sure["expected_calibration_error"] == 0
    assert sure["log_loss"] < 1e-5
    wrong = reliability(1.0 - answered.right_A, answered)
    assert wrong["expected_calibration_error"] == pytest.approx(1)


def test_only_the_best_items_of_an_answer_are_looked_at():
    answered = Answered.of([(-np.arange(30.0), 1.0, np.arange(30) == 12), (np.empty(0), 0.0, np.empty(0, bool))])
    assert len(answered) == ANSWER
    assert not answered.right_A.any()
    assert answered.first_A.tolist() == [True] + [False] * 9


def test_no_answer_has_no_figures_but_its_count():
    nothing = reliability(np.empty(0), Answered.of([]))
    assert nothing == {
        "items": 0,
        "expected_calibration_error": 0.0,
        "log_loss": None,
        "bins": [],
        "first": {"items": 0, "expected_calibration_error": 0.0, "log_loss": None, "bins": []},
    }


def test_a_calibration_is_refused_that_would_turn_the_order_around():
    with pytest.raises(ValueError, match="above 0"):
        Calibration(score=-0.1, rivals=0.0, offset=0.0, usual=0.1)
