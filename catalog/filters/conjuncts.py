"""The conditions that a filter joins by `and`: a facet may be counted without those on its own column."""

from collections.abc import Iterator

from catalog.filters.ast import And, Expression, conditions
from catalog.filters.filter import Filter
from catalog.filters.unparse import write

__all__ = ["columns_of", "conjuncts"]


def conjuncts(expression: Filter) -> tuple[Filter, ...]:
    """Filters that together let through what this one does; brackets around an `and` are opened."""
    return tuple(Filter(write(term), term) for term in _terms(expression.tree))


def columns_of(expression: Filter) -> frozenset[str]:
    """The names of the columns that a filter tests, as they are written."""
    return frozenset(condition.column.name for condition in conditions(expression.tree))


def _terms(tree: Expression) -> Iterator[Expression]:
    if isinstance(tree, And):
        for term in tree.terms:
            yield from _terms(term)
    else:
        yield tree
