"""Constrained beam search over the item index."""
