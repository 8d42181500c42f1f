"""Baselines that every model is compared with: popularity, item-kNN, EASE, transitions, clicks and BM25.

They are the sources of `catalog/priors`, fitted on the training events and tuned on the validation questions.
"""

from trainer.evaluation.baselines.tuned import TunedBaselines, training_events

__all__ = ["TunedBaselines", "training_events"]
