"""Attributes: the further columns of a catalog whose values people name, such as colours, sizes and materials.

They are chosen by what they hold: short texts, of which many items have the same. A column of ids, of links or of
sentences is none.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from catalog.data.items import ITEMS_SCHEMA, Items

__all__ = ["attribute_columns", "attribute_texts"]

MAX_LETTERS = 40
"""Characters of the longest value of an attribute."""
MAX_FEW = 20
"""Distinct values of a column that are few, however few items there are."""
MIN_ITEMS = 4
"""Items a value has on average in a column of more."""
MAX_DISTINCT = 5_000
"""Distinct values that are no longer few."""


def attribute_columns(items: Items) -> tuple[str, ...]:
    """The names of the columns that are attributes, in their order."""
    further = (field.name for field in items.table.schema if field.name not in ITEMS_SCHEMA.columns.names)
    return tuple(name for name in further if _is_attribute(items.table[name]))


def attribute_texts(items: Items, columns: Sequence[str]) -> list[str]:
    """All attributes of each item, in one text.

    columns: of `attribute_columns`; one that these items do not have is passed over.
    """
    values = [items.table[name].to_pylist() for name in columns if name in items.table.column_names]
    if not values:
        return [""] * len(items)
    return [", ".join(text for value in own for text in _texts(value)) for own in zip(*values, strict=True)]


def _is_attribute(column: pa.ChunkedArray) -> bool:
    if _is_list(column.type):
        column = pc.list_flatten(column)
    if not _is_text(column.type):
        return False
    column = pc.drop_null(column)
    filled = len(column)
    if not filled or pc.max(pc.utf8_length(column)).as_py() > MAX_LETTERS:
        return False
    distinct = pc.count_distinct(column).as_py()
    return bool(distinct <= min(max(MAX_FEW, filled // MIN_ITEMS), MAX_DISTINCT))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _texts(value: str | Sequence[str | None] | None) -> Sequence[str]:
    if isinstance(value, str):
        return (value,)
    return [text for text in value or () if text]
