"""Neighbours: what people take together or after one another, as a matrix of items × items for each way to count; and
which kinds of items they take next."""

from catalog.priors.neighbours import ease, item_knn, next_kinds, transitions

__all__ = ["ease", "item_knn", "next_kinds", "transitions"]
