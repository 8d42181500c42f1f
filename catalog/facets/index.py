"""The codes of a catalog's columns, made when they are first asked for and kept while the column stays as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from threading import Lock
from typing import TypeAlias

import pyarrow as pa

from catalog.facets.codes import ColumnCodes, encode
from catalog.filters.columns import ALIASES, Holding, holding_of
from catalog.nearest import nearest_name

__all__ = ["FacetIndex", "UnknownColumn"]

Made: TypeAlias = tuple[pa.ChunkedArray, ColumnCodes]
LONG_TEXTS = frozenset({"item_id", "title", "description"})
"""Columns that are not meant by all facets: every item has a value of its own."""


class UnknownColumn(Exception):
    """A column that is not there or cannot be counted; says why, and what to write instead."""


class FacetIndex:
    """The codes of the columns of one snapshot. Threads may share it.

    table: the items.
    """

    def __init__(self, table: pa.Table, earlier: Mapping[str, Made] | None = None) -> None:
        """earlier: columns of an earlier table with their codes, which hold for columns that are equal."""
        self._table = table
        self._earlier = dict(earlier or {})
        self._made: dict[str, Made] = {}
        self._making = Lock()

    def changed(self, table: pa.Table) -> FacetIndex:
        """The index of a later table. It costs nothing until a column is asked for."""
        return FacetIndex(table, {**self._earlier, **self._made})

    @property
    def names(self) -> Sequence[str]:
        """The columns that all facets are of."""
        return [
            field.name
            for field in self._table.schema
            if field.name not in LONG_TEXTS and holding_of(field.type) is not None
        ]

    def has(self, name: str) -> bool:
        """Whether a column has this very name."""
        return name in self._table.column_names

    def is_ordered(self, name: str) -> bool:
        """Whether items can be sorted by a column, by its own name."""
        return holding_of(self._table.schema.field(name).type) is not Holding.LISTS

    def find(self, name: str, *others: str) -> str:
        """The column that a request names, by its own name. others: names that the request might have meant.

        Raises UnknownColumn.
        """
        found = name if self.has(name) else ALIASES.get(name, name)
        if self.has(found):
            if holding_of(self._table.schema.field(found).type) is None:
                raise UnknownColumn(f"{found!r} holds what cannot be counted: name another column")
            return found
        known = self.names
        near = nearest_name(name, [*known, *LONG_TEXTS, *others])
        hint = f"did you mean {near!r}?" if near is not None else f"items have {', '.join(known[:40])}"
        raise UnknownColumn(f"no column is named {name[:100]!r}: {hint}")

    def codes(self, name: str) -> ColumnCodes:
        """The codes of a column, by its own name; the first time it takes some milliseconds for 100,000 items."""
        with self._making:
            if name not in self._made:
                column, (before, codes) = self._table[name], self._earlier.pop(name, (None, None))
                if codes is None or not column.equals(before):
                    holding = holding_of(column.type)
                    assert holding is not None, "it has been found"
                    codes = encode(column, holding)
                self._made[name] = column, codes
            return self._made[name][1]
