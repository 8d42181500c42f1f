"""Evaluation of a model on held-out questions, beside baselines that need no model. Start reading at report.py."""

from trainer.evaluation.report import Protocol, Report, evaluate, with_protocol

__all__ = ["Protocol", "Report", "evaluate", "with_protocol"]
