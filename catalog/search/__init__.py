"""Constrained beam search over the item index: the search itself, and a reference model that drives it."""
