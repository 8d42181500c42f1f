"""Learns how much each feature of a prior counts, on validation questions, and ranks with prior and model joined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from catalog.data.items import Items
from catalog.priors.priors import Candidates as PriorCandidates
from catalog.priors.priors import Priors
from catalog.priors.weights import USUAL_WEIGHTS, prior_of
from catalog.search.beam import Ranked
from catalog.search.calibration import Calibration, rivals_of
from catalog.search.guidance import Prior, StaticPrior
from catalog.search.transformers import TransformersRanker
from catalog.text.prompts import TASKS, PromptFormat, Task
from trainer.data.histories import Histories
from trainer.data.questions import Question, Split, drawn_questions
from trainer.evaluation.baselines import training_events
from trainer.evaluation.candidates import Candidates, whole_catalog
from trainer.evaluation.guidance.calibrated import Calibrated, Kind, calibrate, relevance_of
from trainer.evaluation.guidance.choices import choices_of, half_typed, said_of
from trainer.evaluation.guidance.conditional_logit import LearnedWeights, among_shown, learn_from
from trainer.evaluation.guidance.reliability import Answered, reliability
from trainer.evaluation.ranking import question_prompt
from trainer.evaluation.width import ChosenWidth, GuidedQuestions, choose_width

__all__ = ["LearnedGuidance", "learn_guidance"]

MAX_QUESTIONS = 1_500
"""Validation questions that are learned from, drawn by the seed where there are more."""


class LearnedGuidance:
    """The sources of a split, and what they count for.

    priors: the sources, fitted on the training events.
    static: the popularity of all items.
    learned: the weights of each task beside the model.
    alone: the weights of each task where no model is asked, so that priors are compared at their best.
    width: how many beams guided searches need.
    calibrated: how scores of each task become probabilities.
    """

    def __init__(
        self,
        priors: Priors,
        static: StaticPrior,
        learned: Mapping[Task, LearnedWeights],
        alone: Mapping[Task, LearnedWeights],
        width: ChosenWidth,
        calibrated: Mapping[Task, Calibrated],
    ) -> None:
        self.priors = priors
        self.static = static
        self.learned = learned
        self.alone = alone
        self.width = width
        self.calibrated = calibrated

    def asked(self, histories: Histories, questions: Sequence[Question]) -> list[PriorCandidates]:
        """What the sources say about each question."""
        return [said_of(self.priors, histories, question) for question in questions]

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

    def reliability(
        self, task: Task, said: Sequence[PriorCandidates], asked: Sequence[Question], found: Mapping[Kind, list[Ranked]]
    ) -> dict[str, Any]:
        """The calibrations of a task, and how reliable each is on validation, out of fold, and on these questions.

        found: what answered each question, with the prior and by the model alone.
        """
        own = self.calibrated[task]
        report: dict[str, Any] = {}
        calibrations: dict[Kind, Calibration | None] = {
            "guided": own.calibrations.guided,
            "model": own.calibrations.model,
        }
        for kind, calibration in calibrations.items():
            if calibration is None:
                continue
            rivals = [rivals_of(prior.values) if kind == "guided" else 0.0 for prior in self.priors_of(task, said)]
            right = [leaves == question.item for (leaves, _), question in zip(found[kind], asked, strict=True)]
            scores = [score_K for _, score_K in found[kind]]
            answered = Answered.of(list(zip(scores, rivals, right, strict=True)))
            report[kind] = {
                **calibration.as_json(),
                "validation": own.validation[kind],
                "test": reliability(relevance_of(answered, calibration), answered),
            }
        return report

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

    Weights of searches are learned from whole queries and from their halves, as answers are shown while somebody types;
    and where it is known what an answer showed, from the choice among that too.
    """
    priors = Priors.fit(items, training_events(split.train, len(items)))
    static = StaticPrior(ranker.index, priors.popularity_N)
    learned: dict[Task, LearnedWeights] = {}
    alone: dict[Task, LearnedWeights] = {}
    calibrated: dict[Task, Calibrated] = {}
    asked: dict[Task, GuidedQuestions] = {}
    for task in TASKS:
        questions = drawn_questions(split.validation, task, MAX_QUESTIONS, seed=seed)
        choices, halves = (
            choices_of(ranker, prompts, priors, split.full, ways, exclude_seen=exclude_seen)
            for ways in (dict(enumerate(questions)), half_typed(questions))
        )
        shown = among_shown(choices)
        learned[task] = learn_from([*choices, *halves, *shown], USUAL_WEIGHTS[task], seed=seed)
        alone[task] = learn_from([*choices, *shown], USUAL_WEIGHTS[task], with_model=False, seed=seed)
        calibrated[task] = calibrate(choices, [*halves, *shown], learned[task], USUAL_WEIGHTS[task], seed=seed)
        asked[task] = GuidedQuestions(
            [question_prompt(prompts, split.full, question) for question in questions],
            [prior_of(said_of(priors, split.full, question), learned[task].weights) for question in questions],
            [one.excluded for one in whole_catalog(split.full, questions, exclude_seen=exclude_seen)],
        )
    return LearnedGuidance(priors, static, learned, alone, choose_width(ranker, asked, static), calibrated)
