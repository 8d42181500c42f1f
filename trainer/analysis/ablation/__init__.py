"""The ablation table: `python -m trainer.analysis.ablation` compares all methods. Its command is in __main__.py."""
