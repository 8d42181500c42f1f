"""What tuning does to a model, as commands that write JSON and a picture.

conflict    how far search and recommendation ask the same of each layer
retention   what of the base's knowledge is left
ablation    every method and every part left out, over several seeds, in one table
gate        the learned gate over the steps of a run
base        pretrains a base, so that there is knowledge to keep
"""
