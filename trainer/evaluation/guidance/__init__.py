"""Guidance: what the priors of a model count for, learned on validation questions."""

from trainer.evaluation.guidance.conditional_logit import MIN_QUESTIONS, Choice, LearnedWeights, learn_from
from trainer.evaluation.guidance.learned import LearnedGuidance, learn_guidance

__all__ = ["MIN_QUESTIONS", "Choice", "LearnedGuidance", "LearnedWeights", "learn_from", "learn_guidance"]
