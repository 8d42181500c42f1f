"""Weights are learned where questions say something, and stay the usual ones where few are asked."""

from dataclasses import replace

import numpy as np
import pytest

from catalog.priors.priors import FEATURES
from catalog.priors.weights import USUAL_WEIGHTS
from trainer.data.questions import Question
from trainer.evaluation.guidance import MIN_QUESTIONS, Choice, learn_from
from trainer.evaluation.guidance.choices import half_typed
from trainer.evaluation.guidance.conditional_logit import among_shown, folds

USUAL = USUAL_WEIGHTS["recommendation"]
EASE, SHOWN, POPULARITY = (1 + FEATURES.index(name) for name in ("ease", "shown", "popularity"))


def choices_by(weight_F, count, seed=0):
    """Choices of people with these weights."""
    generator = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        value_CF = np.zeros((20, 1 + len(FEATURES)))
        value_CF[:, 0] = -generator.exponential(3, 20)
        value_CF[:, [EASE, POPULARITY]] = generator.random((20, 2))
        made.append(Choice(value_CF, int((value_CF @ weight_F + generator.gumbel(size=20)).argmax())))
    return made


def choices_with(column, weight, *, share):
    """Choices of people who also weigh a column, of which a share of the items have some."""
    true_F = np.r_[0.5, USUAL.feature_F]
    true_F[column] = weight
    choices, generator = choices_by(true_F, 200), np.random.default_rng(1)
    for place, choice in enumerate(choices):
        choice.value_CF[:, column] = generator.random(20) * (generator.random(20) < share)
        score_C = choice.value_CF @ true_F + generator.gumbel(size=20)
        choices[place] = replace(choice, right=int(score_C.argmax()))
    return choices


def test_the_weights_of_a_thousand_choices_are_found():
    true_F = np.zeros(1 + len(FEATURES))
    true_F[[0, EASE, POPULARITY]] = 0.8, 5.0, -2.0
    learned = learn_from(choices_by(true_F, 1_000), USUAL)
    found_F = np.r_[learned.weights.model, learned.weights.feature_F]
    np.testing.assert_allclose(found_F[[0, EASE, POPULARITY]], true_F[[0, EASE, POPULARITY]], atol=0.8)
    assert learned.questions == 1_000
    assert learned.penalty is not None


def test_what_no_question_tells_stays_as_usual():
    learned = learn_from(choices_by(np.r_[0.5, USUAL.feature_F], 200), USUAL)
    category = FEATURES.index("category_taste")
    assert learned.weights.feature_F[category] == pytest.approx(USUAL.feature_F[category])


def test_few_questions_change_nothing():
    learned = learn_from(choices_by(np.zeros(1 + len(FEATURES)), MIN_QUESTIONS - 1), USUAL)
    assert learned.weights is USUAL
    assert (learned.questions, learned.penalty) == (0, None)


def test_a_model_that_misleads_counts_for_nothing_and_never_less():
    against_F = np.zeros(1 + len(FEATURES))
    against_F[0] = -2.0
    assert learn_from(choices_by(against_F, 400), USUAL).weights.model == 0.0


def test_without_the_model_its_weight_stays_zero_and_the_others_make_up_for_it():
    """A prior alone is to be compared at its best: what repeats the model counts more where no model is asked."""
    choices = choices_by(np.r_[1.0, np.zeros(len(FEATURES))], 500)
    for choice in choices:
        choice.value_CF[:, EASE] = np.exp(choice.value_CF[:, 0])
    beside, alone = learn_from(choices, USUAL), learn_from(choices, USUAL, with_model=False)
    assert alone.weights.model == 0.0
    assert alone.weights.feature_F[EASE - 1] > beside.weights.feature_F[EASE - 1] + 1


def test_a_question_that_is_asked_in_two_ways_counts_once_and_is_in_one_fold():
    choices = choices_by(np.zeros(1 + len(FEATURES)), MIN_QUESTIONS - 1)
    twice = [Choice(one.value_CF, one.right, place) for place, one in enumerate(choices)] * 2
    assert learn_from(twice, USUAL).weights is USUAL
    first, second = folds(twice, 0).reshape(2, -1)
    np.testing.assert_array_equal(first, second)
    assert set(first) == set(range(5))


def test_without_impressions_the_usual_weight_of_what_was_shown_stays():
    learned = learn_from(choices_by(np.r_[0.5, USUAL.feature_F], 200), USUAL)
    assert learned.weights.feature_F[SHOWN - 1] == USUAL.feature_F[SHOWN - 1] == -3.0


@pytest.mark.parametrize(("true", "least", "most"), [(-8.0, -10.0, -4.0), (3.0, 0.0, 0.0)])
def test_how_much_an_impression_lowers_is_learned_and_it_never_raises(true, least, most):
    choices = choices_with(SHOWN, true, share=0.5)
    assert least <= learn_from(choices, USUAL).weights.feature_F[SHOWN - 1] <= most


@pytest.mark.parametrize("name", ["same_clicks", "alike_clicks", "transitions", "item_knn"])
def test_what_people_took_never_counts_against_an_item(name):
    """Or the next click on an item would lower it for those who ask the same."""
    place = 1 + FEATURES.index(name)
    choices = choices_with(place, -4.0, share=1.0)
    assert learn_from(choices, USUAL).weights.feature_F[place - 1] == 0.0


def test_of_what_an_answer_showed_the_choice_counts_by_itself():
    """People see six items, drawn by popularity, and take what others took along: not because it is popular."""
    true_F = np.zeros(1 + len(FEATURES))
    true_F[EASE] = 6.0
    choices, generator = choices_by(true_F, 100), np.random.default_rng(2)
    for place, choice in enumerate(choices):
        shown_C = np.argsort(-choice.value_CF[:, POPULARITY] - generator.gumbel(size=20) / 10).argsort() < 6
        score_C = choice.value_CF @ true_F + generator.gumbel(size=20)
        right = int(np.where(shown_C, score_C, -np.inf).argmax())
        choices[place] = replace(choice, right=right, shown_C=shown_C, question=place)
    among = among_shown(choices)
    assert [len(one.value_CF) for one in among] == [6] * 100
    for one, whole in zip(among, choices, strict=True):
        np.testing.assert_array_equal(one.value_CF[one.right], whole.value_CF[whole.right])
    alone, beside = learn_from(choices, USUAL), learn_from([*choices, *among], USUAL)
    assert beside.questions == 100
    assert beside.weights.feature_F[EASE - 1] > alone.weights.feature_F[EASE - 1]
    assert beside.weights.feature_F[POPULARITY - 1] < alone.weights.feature_F[POPULARITY - 1]


def test_where_nobody_knows_what_was_shown_there_is_no_such_choice():
    choices = choices_by(np.zeros(1 + len(FEATURES)), 5)
    assert among_shown([*choices, replace(choices[0], right=None, shown_C=np.ones(20, bool))]) == []


def test_half_of_a_query_is_half_of_its_letters():
    def asked(query):
        return Question(user=0, start=0, stop=1, task="search", item=3, query=query)

    queries = ["sleeping bag", "tents", "ab", "camp x", " oil ", None, "", "日本語"]
    halves = half_typed([asked(query) for query in queries])
    assert {place: half.query for place, half in halves.items()} == {
        0: "sleepi",
        1: "ten",
        3: "cam",
        4: "oi",
        7: "日本",
    }
    assert all(half.item == 3 for half in halves.values())
