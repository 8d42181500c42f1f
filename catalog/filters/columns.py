"""The columns of a table of items, as far as a filter can ask for them."""

from dataclasses import dataclass
from enum import Enum

import pyarrow as pa

from catalog.data.columns.types import is_text
from catalog.data.items import ITEMS_SCHEMA
from catalog.data.schema import in_words
from catalog.filters.ast import Column
from catalog.filters.faults import fault, shorten
from catalog.filters.unparse import write_name
from catalog.nearest import nearest_name

__all__ = ["ALIASES", "Holding", "ItemColumn", "find_column", "holding_of"]

MAX_NAMES = 40  # that one message lists


class Holding(Enum):
    """What a column holds, in the words of messages."""

    STRINGS = "strings"
    NUMBERS = "numbers"
    BOOLEANS = "true or false"
    LISTS = "lists of strings"
    MOMENTS = "dates or times"


@dataclass(frozen=True, slots=True)
class ItemColumn:
    """A column found in a table. name: as messages show it; values: as they are stored; identifies: whether its texts
    are ids, so that a whole number stands for the text of its digits."""

    name: str
    holding: Holding
    values: pa.ChunkedArray
    identifies: bool = False


def find_column(table: pa.Table, column: Column) -> ItemColumn:
    """The column that a filter names. Raises FilterError if there is none, or one that cannot be filtered on."""
    name = column.name
    if name not in table.column_names:
        name = ALIASES.get(name, name)
    if name not in table.column_names:
        raise fault(_unknown(column.name, table.column_names), column.span)
    values = table[name]
    holding = holding_of(values.type)
    if holding is None:
        what = f"{write_name(name)} holds {in_words(values.type)}, which no filter can test"
        kinds = ", ".join(kind.value for kind in Holding)
        raise fault(f"{what}: use a column of {kinds}, or store it as one", column.span)
    return ItemColumn(shorten(write_name(name)), holding, values, name in ITEMS_SCHEMA.identifiers)


ALIASES = {"category": "categories", "id": "item_id"}


def _unknown(name: str, names: list[str]) -> str:
    nearest = nearest_name(name, names)
    hint = f"; did you mean {write_name(nearest)}?" if nearest is not None else "."
    listed = ", ".join(write_name(known) for known in names[:MAX_NAMES])
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return f"the items have no column {shorten(write_name(name))}{hint} The columns are {listed}{more}"


def holding_of(kind: pa.DataType) -> Holding | None:
    kinds = pa.types
    if is_text(kind):
        return Holding.STRINGS
    if kinds.is_integer(kind) or kinds.is_floating(kind):
        return Holding.NUMBERS
    if kinds.is_boolean(kind):
        return Holding.BOOLEANS
    if kinds.is_list(kind) and kinds.is_string(kind.value_type):
        return Holding.LISTS
    if kinds.is_timestamp(kind) or kinds.is_date(kind):
        return Holding.MOMENTS
    return None
