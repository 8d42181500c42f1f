"""Facets: how often each value of a column occurs among some items, what numbers range over, and the order of items."""

from catalog.facets.codes import ColumnCodes, encode
from catalog.facets.counts import MAX_VALUES, Facet, Stats, count_facet
from catalog.facets.index import FacetIndex, UnknownColumn
from catalog.facets.order import RELEVANCE, SortFault, SortKey, first_of, places, read_sort

__all__ = [
    "MAX_VALUES",
    "RELEVANCE",
    "ColumnCodes",
    "Facet",
    "FacetIndex",
    "SortFault",
    "SortKey",
    "Stats",
    "UnknownColumn",
    "count_facet",
    "encode",
    "first_of",
    "places",
    "read_sort",
]
