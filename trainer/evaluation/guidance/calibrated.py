"""Calibrations of a task's scores, fitted on validation questions by weights that have not seen them.

Every fold of the questions is scored by the weights that the other folds give, so a calibration is learned from scores
as they are for questions that nothing was learned from. The reliability on validation is crossed once more: the
calibration of a fold is fitted on the others.

A items of all answers, K of one, F features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from sklearn.linear_model import LogisticRegression

from catalog.priors.weights import PriorWeights
from catalog.search.calibration import Calibration, TaskCalibration, relevances, rivals_of
from trainer.evaluation.guidance.conditional_logit import FOLDS, Choice, LearnedWeights, cross_fitted
from trainer.evaluation.guidance.reliability import Answer, Answered, reliability

__all__ = ["Calibrated", "Kind", "calibrate", "relevance_of"]

Kind = Literal["guided", "model"]
NONE = -1
NOTHING: Answer = (np.empty(0), 0.0, np.empty(0, bool))
WEAK = 100.0
"""The inverse of the penalty on a calibration's numbers, of which there are three for hundreds of questions."""


@dataclass(frozen=True, slots=True)
class Calibrated:
    """The calibrations of one task, and how reliable each is on the validation questions, out of fold."""

    calibrations: TaskCalibration
    validation: Mapping[Kind, dict[str, Any]]


def calibrate(
    choices: Sequence[Choice],
    others: Sequence[Choice],
    learned: LearnedWeights,
    usual: PriorWeights,
    *,
    seed: int = 0,
) -> Calibrated:
    """The calibrations of guided scores and of the model's own.

    choices: questions as they are asked, by which scores are calibrated.
    others: further choices that the weights were learned from: the same questions, asked in other ways.
    learned: the weights of all of them. Where they are the usual ones, too few questions were asked to calibrate by.
    """
    if learned.questions == 0:
        return Calibrated(TaskCalibration(), {})
    every = [*choices, *others]
    fold_Q, guided = np.zeros(len(every), np.int64), [NOTHING] * len(every)
    for fold, (places, weight_F) in enumerate(cross_fitted(every, learned, usual, seed=seed)):
        fold_Q[places] = fold
        for place in places:
            guided[place] = _guided(every[place], weight_F)
    asked: dict[Kind, list[Answer]] = {"guided": guided[: len(choices)], "model": [_model(one) for one in choices]}
    found: dict[Kind, Calibration] = {}
    validation: dict[Kind, dict[str, Any]] = {}
    for kind, answers in asked.items():
        answered = Answered.of(answers)
        fold_A = fold_Q[answered.question_A]
        fitted = (_fitted(answered.those(fold_A != fold), kind) for fold in range(FOLDS))
        crossed = [own for own in fitted if own is not None]
        whole = _fitted(answered, kind)
        if whole is None or len(crossed) < FOLDS:
            continue
        relevance_A = np.zeros(len(answered))
        for fold, own in enumerate(crossed):
            relevance_A[fold_A == fold] = relevance_of(answered.those(fold_A == fold), own)
        found[kind], validation[kind] = whole, reliability(relevance_A, answered)
    return Calibrated(TaskCalibration(found.get("guided"), found.get("model")), validation)


def relevance_of(answered: Answered, calibration: Calibration) -> np.ndarray:
    """The probability of every item, float64 [A]."""
    told = zip(answered.score_A.tolist(), answered.rivals_A.tolist(), strict=True)
    return np.array([relevances([score], rivals, calibration)[0] for score, rivals in told])


def _guided(choice: Choice, weight_F: np.ndarray) -> Answer:
    assert choice.said_CF is not None, "choices to calibrate by say what all sources list"
    return _answer(choice, choice.value_CF @ weight_F, rivals_of(choice.said_CF @ weight_F[1:]))


def _model(choice: Choice) -> Answer:
    return _answer(choice, choice.value_CF[:, 0], 0.0)


def _answer(choice: Choice, score_C: np.ndarray, rivals: float) -> Answer:
    order_C = np.argsort(-score_C, kind="stable")
    return score_C[order_C], rivals, order_C == (NONE if choice.right is None else choice.right)


def _fitted(answered: Answered, kind: Kind) -> Calibration | None:
    """By Platt's scaling; None where nothing can be learned, or where a higher score would say less."""
    if len(np.unique(answered.right_A)) < 2:
        return None
    columns = [answered.score_A, answered.rivals_A] if kind == "guided" else [answered.score_A]
    fitted = LogisticRegression(C=WEAK, max_iter=1_000).fit(np.stack(columns, 1), answered.right_A)
    score, rivals = [*fitted.coef_[0].tolist(), 0.0][:2]
    if score <= 0:
        return None
    digits = [round(value, 6) for value in (score, rivals, float(fitted.intercept_[0]), answered.right_A.mean())]
    return Calibration(*map(float, digits))
