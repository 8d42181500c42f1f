"""Analyses of tuned models: commands that print a summary, and write figures as JSON and a picture.

python -m trainer.analysis.ablation        every method, and GEMS without each of its parts, in one table
python -m trainer.analysis.conflict        how far the two tasks' gradients agree in each layer
python -m trainer.analysis.gate            the learned gate over the steps of a run
python -m trainer.analysis.misspellings    what misspelled queries cost, and what correcting them brings back
python -m trainer.analysis.pretrain_base   pretrains a base, so that a model has general knowledge to keep
python -m trainer.analysis.retention       how much of the base's general knowledge tuning has kept
"""
