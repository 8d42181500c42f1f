"""Weights by a conditional logit (McFadden, 1974): of a question's candidates, those of all sources and the model's own
best, the right one is chosen with a probability that is the softmax of their scores.

The weights are drawn towards the usual ones by a penalty that cross-validation chooses, so few questions change little.

Q questions, C candidates of a question, A candidates of all, F features, of which the first is the model's
log-probability.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from catalog.priors.live.shown import SHOWN
from catalog.priors.priors import CLICK_FEATURES, FEATURES, NEIGHBOUR_FEATURES
from catalog.priors.weights import PriorWeights
from trainer.evaluation.guidance.likelihood import Likelihood
from trainer.evaluation.guidance.newton import Bounds, Local, least

__all__ = ["MIN_QUESTIONS", "Choice", "LearnedWeights", "among_shown", "cross_fitted", "folds", "learn_from"]

PENALTIES = (100.0, 30.0, 10.0, 3.0, 1.0)
"""In this order, as the weights of one are near those of the next."""
FOLDS = 5
FREE = (-np.inf, np.inf)
EVIDENCE = (*CLICK_FEATURES, *NEIGHBOUR_FEATURES)
"""Features that are what people took after such words or such items."""
BOUNDS = {SHOWN: (-np.inf, 0.0), **dict.fromkeys(EVIDENCE, (0.0, np.inf))}
"""What is shown again and again because it fits is taken more: an impression raises nothing all the same. And what
somebody takes lowers nothing: features that say much the same get weights of both signs, with which the next person's
click on an item would count against it."""
WITHIN = Bounds(*np.array([(0.0, np.inf), *(BOUNDS.get(name, FREE) for name in FEATURES)]).T)
"""What each weight may be, the model's first."""
MIN_QUESTIONS = 50
"""Validation questions below which the usual weights are taken."""


@dataclass(frozen=True, slots=True)
class LearnedWeights:
    """Weights of one task, and how they came about.

    questions: from how many they were learned; 0 for the usual ones.
    penalty: on the squared distance from the usual weights; None for the usual ones.
    """

    weights: PriorWeights
    questions: int
    penalty: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """One question.

    value_CF: the features of its candidates, float64.
    right: the place of the right one; None where it is no candidate, from which no weights are learned.
    question: equal for choices that are ways to ask one question, which are never in different folds; None for a
        question of its own.
    said_CF: the features without the model's of all that sources list, among them what the question leaves out.
    shown_C: which candidates the answer showed, the right one and those that the user left, bool; None where nobody
        knows.
    """

    value_CF: np.ndarray
    right: int | None
    question: int | None = None
    said_CF: np.ndarray | None = None
    shown_C: np.ndarray | None = None


def learn_from(
    choices: Sequence[Choice], usual: PriorWeights, *, with_model: bool = True, seed: int = 0
) -> LearnedWeights:
    """The weights with which these choices are likeliest, drawn towards the usual ones.

    with_model: whether the model's log-probability counts; if not, its weight stays 0.
    seed: what the folds of the cross-validation are drawn from.
    """
    if not with_model:
        usual = replace(usual, model=0.0)
    choices = _answerable(choices)
    questions = len(set(_names(choices)))
    if questions < MIN_QUESTIONS:
        return LearnedWeights(usual, 0, None)
    start_F = _row_of(usual)
    if not with_model:
        choices = [replace(choice, value_CF=choice.value_CF * (np.arange(len(start_F)) > 0)) for choice in choices]
    likely_P = _cross_validated(choices, start_F, seed)
    penalty = PENALTIES[int(np.argmax(likely_P))]
    weight_F = _fitted(_likelihood(choices), start_F, penalty, start_F)
    return LearnedWeights(PriorWeights(max(0.0, float(weight_F[0])), weight_F[1:]), questions, penalty)


def among_shown(choices: Sequence[Choice]) -> list[Choice]:
    """The same choices among what was shown only, of those where that is known: people could take nothing else. That
    more of them see what stands higher is not made up for."""
    made = []
    for choice in choices:
        if choice.right is not None and choice.shown_C is not None:
            right = int(choice.shown_C[: choice.right].sum())
            made.append(replace(choice, value_CF=choice.value_CF[choice.shown_C], right=right, shown_C=None))
    return made


def cross_fitted(
    choices: Sequence[Choice], learned: LearnedWeights, usual: PriorWeights, *, seed: int = 0
) -> Iterator[tuple[list[int], np.ndarray]]:
    """For every fold the places of its choices, and the weights that the choices of all other folds give, float64 [F].

    learned: of these choices, whose penalty is taken; some must have been learned from.
    """
    assert learned.penalty is not None, "usual weights are not learned from any choice"
    fold_Q = folds(choices, seed)
    usual_F, near_F = _row_of(usual), _row_of(learned.weights)
    for fold in range(FOLDS):
        others = _answerable([choices[i] for i in np.flatnonzero(fold_Q != fold)])
        weight_F = _fitted(_likelihood(others), usual_F, learned.penalty, near_F)
        yield np.flatnonzero(fold_Q == fold).tolist(), weight_F


def _answerable(choices: Sequence[Choice]) -> list[Choice]:
    """Those whose right item is a candidate."""
    return [choice for choice in choices if choice.right is not None]


def _cross_validated(choices: Sequence[Choice], usual_F: np.ndarray, seed: int) -> np.ndarray:
    """The mean log-likelihood of the folds that were left out by each penalty."""
    fold_Q = folds(choices, seed)
    total_P = np.zeros(len(PENALTIES))
    for fold in range(FOLDS):
        others = _likelihood([choices[i] for i in np.flatnonzero(fold_Q != fold)])
        left_out = _likelihood([choices[i] for i in np.flatnonzero(fold_Q == fold)])
        weight_F = usual_F
        for place, penalty in enumerate(PENALTIES):
            weight_F = _fitted(others, usual_F, penalty, weight_F)
            total_P[place] -= left_out.value(weight_F)
    return total_P / len(choices)


def folds(choices: Sequence[Choice], seed: int) -> np.ndarray:
    """The fold of every choice, int64 from 0 below FOLDS: all ways to ask one question in the same."""
    names = _names(choices)
    number_of = {name: number for number, name in enumerate(dict.fromkeys(names))}
    fold_G = np.random.default_rng(seed).permutation(len(number_of)) % FOLDS
    return fold_G[[number_of[name] for name in names]]


def _names(choices: Sequence[Choice]) -> list[tuple[str, int]]:
    """What is equal for choices that are of one question."""
    return [
        ("place", place) if choice.question is None else ("question", choice.question)
        for place, choice in enumerate(choices)
    ]


def _row_of(weights: PriorWeights) -> np.ndarray:
    """The model's weight and those of the features, float64 [F]."""
    row_F: np.ndarray = np.r_[weights.model, weights.feature_F]
    return row_F


def _likelihood(choices: Sequence[Choice]) -> Likelihood:
    return Likelihood([one.value_CF for one in choices], [one.right for one in choices if one.right is not None])


def _fitted(likelihood: Likelihood, usual_F: np.ndarray, penalty: float, start_F: np.ndarray) -> np.ndarray:
    """The likeliest weights that are drawn towards the usual ones. start_F: weights that may be near."""

    def penalized(weight_F: np.ndarray) -> Local:
        value, slope_F, curvature_FF = likelihood.around(weight_F)
        away_F = weight_F - usual_F
        curvature_FF[np.diag_indices_from(curvature_FF)] += penalty
        return Local(value + penalty * float(away_F @ away_F) / 2, slope_F + penalty * away_F, curvature_FF)

    return least(penalized, start_F, WITHIN)
