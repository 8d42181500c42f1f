"""Neighbours: what people take together or after one another, as a matrix of items × items for each way to count."""

from catalog.priors.neighbours import ease, item_knn, transitions

__all__ = ["ease", "item_knn", "transitions"]
