"""How well a model answers held-out questions, beside what is known to work without one. Start at report.py."""

from trainer.evaluation.report import Protocol, Report, evaluate, with_protocol

__all__ = ["Protocol", "Report", "evaluate", "with_protocol"]
