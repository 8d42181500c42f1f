"""A filter that has been read, and what it lets through."""

import re
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from catalog.data.items import Items
from catalog.filters.ast import Expression
from catalog.filters.evaluate import mask
from catalog.filters.faults import Span, fault
from catalog.filters.parser import read_tree
from catalog.filters.typecheck import check
from catalog.filters.unparse import write

__all__ = ["MAX_CHARACTERS", "Filter", "compile_filter", "parse"]

MAX_CHARACTERS = 4_096  # characters


@dataclass(frozen=True, slots=True)
class Filter:
    """What `parse` makes. Filters are equal iff their canonical `text` is, so either will do as the key of a cache."""

    text: str
    tree: Expression = field(compare=False, repr=False)

    def check(self, items: Items) -> None:
        """Raises FilterError where `mask` would, at once."""
        check(self.tree, items.table)

    def mask(self, items: Items) -> NDArray[np.bool_]:
        """Which items meet the filter, by row: bool [N], read-only.

        Raises FilterError for a column that is not there or cannot be filtered on, and for a test or value that does
        not suit its column. Its place is one in the text that was parsed, not in the canonical one.
        """
        self.check(items)
        met_N = mask(self.tree, items.table)
        met_N.flags.writeable = False
        return met_N


def parse(text: str) -> Filter:
    """Read a filter; the grammar is in this package's docstring. Raises FilterError for whatever is no filter."""
    whole = Span(0, len(text))
    if len(text) > MAX_CHARACTERS:
        what = f"the filter has {len(text):,} characters, at most {MAX_CHARACTERS:,} are read: shorten it"
        raise fault(what, Span(MAX_CHARACTERS, len(text) - MAX_CHARACTERS))
    if surrogate := _SURROGATE.search(text):
        raise fault("half a surrogate pair is no character: remove it", Span(surrogate.start(), 1))
    tree = read_tree(text)
    canonical = write(tree)
    if len(canonical) > MAX_CHARACTERS:  # else the canonical text would be no filter
        what = f"the filter has {len(canonical):,} characters in its canonical form, with one space around operators"
        raise fault(f"{what} and after commas; at most {MAX_CHARACTERS:,} are read: shorten it", whole)
    return Filter(canonical, tree)


def compile_filter(text: str, items: Items) -> NDArray[np.bool_]:
    """`parse(text).mask(items)`: bool [N], read-only. Raises FilterError."""
    return parse(text).mask(items)


_SURROGATE = re.compile("[\ud800-\udfff]")
