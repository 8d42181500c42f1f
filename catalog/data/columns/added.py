"""Columns that a catalog gets while it serves, and the names that column types have over HTTP."""

from collections.abc import Mapping

import pyarrow as pa

from catalog.data.columns.types import COLUMN_TYPES

__all__ = ["TYPES_BY_NAME", "name_of_type", "with_added"]

TYPES_BY_NAME: Mapping[str, pa.DataType] = dict(
    zip(
        ("string", "bool", "int64", "uint64", "float", "string[]", "date", "datetime", "datetime_utc"),
        COLUMN_TYPES,
        strict=True,
    )
)
"""Every type that a column can have, by its name."""


def name_of_type(kind: pa.DataType) -> str:
    """The name of a column type, in whichever unit or zone its moments are stored."""
    if pa.types.is_timestamp(kind):
        return "datetime" if kind.tz is None else "datetime_utc"
    # Parquet names the elements of a list differently: such types are equal, and not the same key of a dict.
    return next((name for name, known in TYPES_BY_NAME.items() if known == kind), str(kind))


def with_added(
    table: pa.Table, added: Mapping[str, pa.DataType], before: Mapping[str, pa.DataType], published: frozenset[str]
) -> pa.Table:
    """The table of items with these further columns, null in every row, and without those that are no more.

    added: the columns that there are beside the published ones, by name.
    before: those that the table has of them.
    published: names of columns that stay as they are, also where `added` has them in another type.
    """
    gone = [name for name, kind in before.items() if name not in published and added.get(name) != kind]
    table = table.drop_columns([name for name in gone if name in table.column_names])
    for name, kind in added.items():
        if name not in table.column_names:
            table = table.append_column(name, pa.nulls(len(table), kind))
    return table
