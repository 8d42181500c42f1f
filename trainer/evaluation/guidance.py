"""Learns how much each feature of a prior counts, on validation questions, and ranks with prior and model joined.

The weights are those of a conditional logit: of a question's candidates, those of all sources and the model's own best,
the right one is chosen with a probability that is the softmax of their scores (McFadden, 1974). They are drawn towards
the usual weights by a penalty that cross-validation chooses, so few questions change little.

Q questions, C candidates of a question, F features, of which the first is the model's log-probability.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.optimize import minimize

from catalog.data.items import Items
from catalog.priors.priors import FEATURES, Priors
from catalog.priors.priors import Candidates as PriorCandidates
from catalog.priors.weights import USUAL_WEIGHTS, PriorWeights, prior_of
from catalog.search.guidance import Prior, StaticPrior
from catalog.search.transformers import TransformersRanker
from catalog.text.prompts import TASKS, PromptFormat, Task
from trainer.data.histories import Histories, Question, Split
from trainer.evaluation.baselines import training_events
from trainer.evaluation.candidates import Candidates, whole_catalog
from trainer.evaluation.ranking import question_prompt
from trainer.evaluation.width import ChosenWidth, GuidedQuestions, choose_width

__all__ = ["Choice", "LearnedGuidance", "LearnedWeights", "learn_from", "learn_guidance"]

PENALTIES = (1.0, 3.0, 10.0, 30.0, 100.0)
FOLDS = 5
MAX_QUESTIONS = 1_500
"""Validation questions that are learned from, drawn by the seed where there are more."""
MIN_QUESTIONS = 50
"""Validation questions below which the usual weights are taken."""
MODEL_WIDTH = 50
"""The model's best items that are candidates."""


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
    """One question: the features of its candidates, float64 [C, F], and the place of the right one."""

    value_CF: np.ndarray
    right: int


class LearnedGuidance:
    """The sources of a split, and what they count for.

    priors: the sources, fitted on the training events.
    static: the popularity of all items.
    learned: the weights of each task beside the model.
    alone: the weights of each task where no model is asked, so that priors are compared at their best.
    width: how many beams guided searches need.
    """

    def __init__(
        self,
        priors: Priors,
        static: StaticPrior,
        learned: Mapping[Task, LearnedWeights],
        alone: Mapping[Task, LearnedWeights],
        width: ChosenWidth,
    ) -> None:
        self.priors = priors
        self.static = static
        self.learned = learned
        self.alone = alone
        self.width = width

    def asked(self, histories: Histories, questions: Sequence[Question]) -> list[PriorCandidates]:
        """What the sources say about each question."""
        return [_said(self.priors, histories, question) for question in questions]

    def priors_of(self, task: Task, said: Sequence[PriorCandidates]) -> list[Prior]:
        """What guides the search for each question."""
        return [prior_of(one, self.learned[task].weights) for one in said]

    def rank_alone(
        self, task: Task, said: Sequence[PriorCandidates], candidates: Sequence[Candidates], k: int
    ) -> list[np.ndarray]:
        """The best items of each question by the prior alone, with weights of its own: int64 [k or fewer] each."""
        ranked = []
        for one, own in zip(said, candidates, strict=True):
            prior = prior_of(one, self.alone[task].weights)
            score_N = prior.static_weight * self.priors.popularity_N.astype(np.float64)
            score_N[prior.leaves] = prior.values
            ranked.append(own.best(score_N, k))
        return ranked

    def as_json(self) -> dict[str, Any]:
        """For each task the weights, from how many questions they were learned, the penalty, and the weights alone."""
        return {
            task: {
                "weights": own.weights.as_json(),
                "questions": own.questions,
                "penalty": own.penalty,
                "weights_alone": self.alone[task].weights.as_json(),
            }
            for task, own in self.learned.items()
        }


def learn_guidance(
    ranker: TransformersRanker, prompts: PromptFormat, items: Items, split: Split, *, exclude_seen: bool, seed: int = 0
) -> LearnedGuidance:
    """The guidance of a model, learned on the validation questions of a split.

    items: the catalog, in leaf order.
    exclude_seen: whether recommendations leave out the items of the user's history.
    """
    priors = Priors.fit(items, training_events(split.train, len(items)))
    static = StaticPrior(ranker.index, priors.popularity_N)
    learned: dict[Task, LearnedWeights] = {}
    alone: dict[Task, LearnedWeights] = {}
    asked: dict[Task, GuidedQuestions] = {}
    for task in TASKS:
        questions = _drawn([q for q in split.validation if q.task == task], seed)
        candidates = whole_catalog(split.full, questions, exclude_seen=exclude_seen)
        choices = _choices(ranker, prompts, priors, split.full, questions, candidates)
        learned[task] = learn_from(choices, USUAL_WEIGHTS[task], seed=seed)
        alone[task] = learn_from(choices, USUAL_WEIGHTS[task], with_model=False, seed=seed)
        asked[task] = GuidedQuestions(
            [question_prompt(prompts, split.full, question) for question in questions],
            [prior_of(_said(priors, split.full, question), learned[task].weights) for question in questions],
            [one.excluded for one in candidates],
        )
    return LearnedGuidance(priors, static, learned, alone, choose_width(ranker, asked, static))


def _drawn(questions: Sequence[Question], seed: int) -> Sequence[Question]:
    """At most MAX_QUESTIONS of them, in their order."""
    if len(questions) <= MAX_QUESTIONS:
        return questions
    drawn = np.random.default_rng(seed).choice(len(questions), MAX_QUESTIONS, replace=False)
    return [questions[place] for place in np.sort(drawn).tolist()]


def _said(priors: Priors, histories: Histories, question: Question) -> PriorCandidates:
    """What the sources say about a held-out question."""
    return priors.candidates(question.query, histories.items_E[question.start : question.stop])


def learn_from(
    choices: Sequence[Choice], usual: PriorWeights, *, with_model: bool = True, seed: int = 0
) -> LearnedWeights:
    """The weights with which these choices are likeliest, drawn towards the usual ones.

    with_model: whether the model's log-probability counts; if not, its weight stays 0.
    seed: what the folds of the cross-validation are drawn from.
    """
    if not with_model:
        usual = replace(usual, model=0.0)
    if len(choices) < MIN_QUESTIONS:
        return LearnedWeights(usual, 0, None)
    start_F = np.r_[usual.model, usual.feature_F]
    if not with_model:
        choices = [Choice(choice.value_CF * (np.arange(len(start_F)) > 0), choice.right) for choice in choices]
    penalty = max(PENALTIES, key=lambda value: _cross_validated(choices, start_F, value, seed))
    weight_F = _fitted(choices, start_F, penalty)
    return LearnedWeights(PriorWeights(max(0.0, float(weight_F[0])), weight_F[1:]), len(choices), penalty)


def _choices(
    ranker: TransformersRanker,
    prompts: PromptFormat,
    priors: Priors,
    histories: Histories,
    questions: Sequence[Question],
    candidates: Sequence[Candidates],
) -> list[Choice]:
    """The questions whose right item is a candidate."""
    rendered = [question_prompt(prompts, histories, question) for question in questions]
    own = ranker.rank(rendered, MODEL_WIDTH, deny=[one.excluded for one in candidates])
    found = [_said(priors, histories, question) for question in questions]
    listed = [
        np.setdiff1d(np.union1d(prior.item_C, leaves), one.excluded)
        for prior, (leaves, _), one in zip(found, own, candidates, strict=True)
    ]
    scored = ranker.rank(rendered, max(map(len, listed), default=1), allow=listed)
    choices = []
    for question, prior, item_C, (leaves, scores) in zip(questions, found, listed, scored, strict=True):
        right = np.flatnonzero(item_C == question.item)
        if len(right) == 0:
            continue
        value_CF = np.zeros((len(item_C), 1 + len(FEATURES)))
        value_CF[np.searchsorted(item_C, leaves), 0] = scores
        value_CF[:, -1] = priors.popularity_N[item_C]
        here_C = np.isin(item_C, prior.item_C)
        value_CF[here_C, 1:] = prior.value_CF[np.searchsorted(prior.item_C, item_C[here_C])]
        choices.append(Choice(value_CF, int(right[0])))
    return choices


def _cross_validated(choices: Sequence[Choice], start_F: np.ndarray, penalty: float, seed: int) -> float:
    """The mean log-likelihood of the folds that were left out."""
    fold_Q = np.random.default_rng(seed).permutation(len(choices)) % FOLDS
    total = 0.0
    for fold in range(FOLDS):
        weight_F = _fitted([choices[i] for i in np.flatnonzero(fold_Q != fold)], start_F, penalty)
        total -= _Likelihood([choices[i] for i in np.flatnonzero(fold_Q == fold)])(weight_F)[0]
    return total / len(choices)


def _fitted(choices: Sequence[Choice], start_F: np.ndarray, penalty: float) -> np.ndarray:
    loss = _Likelihood(choices)

    def penalized(weight_F: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope_F = loss(weight_F)
        away_F = weight_F - start_F
        return value + penalty * float(away_F @ away_F) / 2, slope_F + penalty * away_F

    found = minimize(
        penalized, start_F, jac=True, method="L-BFGS-B", bounds=[(0, None), *[(None, None)] * len(FEATURES)]
    )
    return np.asarray(found.x)


class _Likelihood:
    """The negative log-likelihood of some choices as a function of the weights, with its gradient."""

    def __init__(self, choices: Sequence[Choice]) -> None:
        sizes = np.array([len(choice.value_CF) for choice in choices])
        self._value_AF = np.concatenate([choice.value_CF for choice in choices])
        self._start_Q = np.cumsum(sizes) - sizes
        self._right_Q = self._start_Q + np.array([choice.right for choice in choices])
        self._question_A = np.repeat(np.arange(len(sizes)), sizes)

    def __call__(self, weight_F: np.ndarray) -> tuple[float, np.ndarray]:
        score_A = self._value_AF @ weight_F
        score_A -= np.maximum.reduceat(score_A, self._start_Q)[self._question_A]
        total_Q = np.add.reduceat(np.exp(score_A), self._start_Q)
        share_A = np.exp(score_A) / total_Q[self._question_A]
        loss = float((np.log(total_Q) - score_A[self._right_Q]).sum())
        return loss, self._value_AF.T @ share_A - self._value_AF[self._right_Q].sum(0)
