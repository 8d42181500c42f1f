"""The order of items by their columns: `price:asc,brand:desc`.

Shapes: K items.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from catalog.facets.codes import ColumnCodes
from catalog.facets.index import FacetIndex, UnknownColumn

__all__ = ["MAX_SORT_KEYS", "RELEVANCE", "SortFault", "SortKey", "first_of", "places", "read_sort"]

MAX_SORT_KEYS = 3
RELEVANCE = "_relevance"
"""In the place of a column: the order without `sort_by`, the best first."""
DIRECTIONS = {"asc": False, "desc": True}
LIMIT = 1 << 62


class SortFault(Exception):
    """What is wrong with an order, and where: the position of a character, from 1."""

    def __init__(self, message: str, position: int, code: str) -> None:
        super().__init__(f"character {position}: {message}")
        self.code = code


@dataclass(frozen=True, slots=True)
class SortKey:
    """column: by its own name, or RELEVANCE."""

    column: str
    descending: bool


def read_sort(text: str, index: FacetIndex) -> tuple[SortKey, ...]:
    """The keys of an order, the first counts most. Raises SortFault."""
    keys = []
    for place, (part, position) in enumerate(_parts(text)):
        if place == MAX_SORT_KEYS:
            raise SortFault(f"at most {MAX_SORT_KEYS} columns sort: leave out what follows", position, "too_many_keys")
        keys.append(_key(part, position, index))
    return tuple(keys)


def places(keys: Sequence[SortKey], index: FacetIndex, row_K: NDArray[np.int64]) -> NDArray[np.int64]:
    """A number for each of some items, int64 [K], which is the smaller the further in front it comes, and the same for
    items that are equal in all keys. An item without a value comes behind all that have one."""
    place_K, size = np.zeros(len(row_K), np.int64), 1
    for key in keys:
        codes = index.codes(key.column)
        values = len(codes.values) + 1
        if size * values > LIMIT:
            _, place_K = np.unique(place_K, return_inverse=True)
            size = len(row_K)
        place_K = place_K * values + _place_in_column(codes, row_K, descending=key.descending)
        size *= values
    return place_K


def first_of(key_columns: Sequence[NDArray[np.generic]], most: int) -> NDArray[np.int64]:
    """The places of the items that come first, at most so many, in their order. key_columns: values of every item, [K]
    each, smaller ones in front; a later column orders what is equal in those before it."""
    left_K, chosen, wanted = np.arange(len(key_columns[0])), [], most
    for value_K in key_columns:
        if len(left_K) <= wanted:
            break
        own_K = value_K[left_K]
        last = np.partition(own_K, wanted - 1)[wanted - 1]
        chosen.append(left_K[own_K < last])
        left_K, wanted = left_K[own_K == last], wanted - len(chosen[-1])
    place_K: NDArray[np.int64] = np.concatenate([*chosen, left_K])
    order_K = np.lexsort([value_K[place_K] for value_K in reversed(key_columns)])
    return np.asarray(place_K[order_K[:most]])


def _place_in_column(codes: ColumnCodes, row_K: NDArray[np.int64], *, descending: bool) -> NDArray[np.int64]:
    code_K, nulls = codes.code_E[row_K].astype(np.int64), len(codes.values)
    return np.where(code_K == nulls, nulls, nulls - 1 - code_K) if descending else code_K


def _parts(text: str) -> Iterator[tuple[str, int]]:
    """The parts between commas, with the position of the first character of each."""
    begin = 0
    for part in text.split(","):
        yield part.strip(), begin + len(part) - len(part.lstrip()) + 1
        begin += len(part) + 1


def _key(part: str, position: int, index: FacetIndex) -> SortKey:
    name, colon, direction = part.rpartition(":")
    if not colon or index.has(part):
        name, direction = part, "desc" if part == RELEVANCE else "asc"
    if direction.lower() not in DIRECTIONS:
        message = f"{direction[:20]!r} is no direction: write {name[:100]}:asc or {name[:100]}:desc"
        raise SortFault(message, position + len(name) + 1, "unknown_direction")
    descending = DIRECTIONS[direction.lower()]
    if name == RELEVANCE and not index.has(name):
        if not descending:
            message = f"{RELEVANCE} has the best first: write {RELEVANCE}:desc"
            raise SortFault(message, position, "unknown_direction")
        return SortKey(RELEVANCE, descending)
    try:
        column = index.find(name, RELEVANCE)
    except UnknownColumn as unknown:
        raise SortFault(str(unknown), position, "unknown_column") from unknown
    if not index.is_ordered(column):
        message = f"{column!r} holds lists, which have no order: name another column"
        raise SortFault(message, position, "unsortable_column")
    return SortKey(column, descending)
