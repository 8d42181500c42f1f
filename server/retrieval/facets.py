"""The items that an answer counts, and their facets.

Shapes: N items of a snapshot.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from catalog.facets import Facet, FacetIndex, count_facet
from catalog.filters import Filter, columns_of, conjuncts, parse
from server.retrieval.eligibility import EligibleItems

__all__ = ["CountedItems", "counted_items", "facets_of"]

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class CountedItems:
    """Items that meet a filter, and what of them each of its parts lets through.

    base_N: the items without the filter.
    parts: the columns of each condition that the filter joins by `and`, and which items meet it.
    """

    base_N: Mask
    parts: Sequence[tuple[frozenset[str], Mask]] = field(default=())

    @property
    def all_N(self) -> Mask:
        """Those that meet the whole filter."""
        return self._meeting(self.parts)

    def without(self, column: str) -> Mask:
        """Those that meet the filter's conditions but for the ones that are on this column alone."""
        return self._meeting([part for part in self.parts if part[0] != {column}])

    def only(self, wanted_N: Mask) -> CountedItems:
        """Of these those that are wanted."""
        return CountedItems(self.base_N & wanted_N, self.parts)

    def _meeting(self, parts: Sequence[tuple[frozenset[str], Mask]]) -> Mask:
        met_N = self.base_N.copy()
        for _, part_N in parts:
            met_N &= part_N
        return met_N


def counted_items(
    eligible: EligibleItems,
    index: FacetIndex,
    own: str | None,
    further: str | None,
    allow: Sequence[int] | None,
    deny: Sequence[int],
) -> CountedItems:
    """What a query allows. For threads: a filter that is new is evaluated.

    own: the query's filter, whose conditions can be left out.
    further: what its text says of items beside that, and overrides ask of them.
    allow, deny: the leaves that alone are allowed, or None for all, and those that are not.
    Raises FilterError.
    """
    base_N = eligible.shown_N.copy()
    for part in _parts(further):
        base_N &= eligible.met(part)
    if allow is not None:
        allowed_N = np.zeros(len(base_N), np.bool_)
        allowed_N[list(allow)] = True
        base_N &= allowed_N
    base_N[list(deny)] = False
    met = [(part, eligible.met(part)) for part in _parts(own)]  # which says what is wrong with a filter
    return CountedItems(base_N, [(_columns(part, index), met_N) for part, met_N in met])


def facets_of(
    counted: CountedItems, index: FacetIndex, columns: Mapping[str, str], most: int, *, disjunctive: bool
) -> Mapping[str, Facet]:
    """The facets of some columns, by the names under which they were asked for.

    columns: the column's own name by that name.
    most: values of each that are told.
    disjunctive: the filter's conditions on a column alone are left out when that is counted.
    """
    all_N = counted.all_N
    return {
        asked: count_facet(index.codes(name), counted.without(name) if disjunctive else all_N, most)
        for asked, name in columns.items()
    }


def _parts(expression: str | None) -> tuple[Filter, ...]:
    return () if expression is None else conjuncts(parse(expression))


def _columns(part: Filter, index: FacetIndex) -> frozenset[str]:
    return frozenset(map(index.find, columns_of(part)))
