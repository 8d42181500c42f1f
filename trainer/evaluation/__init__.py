"""Evaluation of a model on held-out questions, beside baselines that need no model. Start reading at report.py."""
