"""At most so many items of each value of a column, over all pages of an answer: groups, and caps by brand or the like.

Items are taken in the order of the answer. One of which the value has its number already is passed over, and where too
few are left of what was ranked, everything else is ranked again without the values that are full. Each such round finds
an item at least, or is the last; so k rounds find k items whenever there are so many.

An item without a value is bound by no number. Shapes: N items of a snapshot, V values of a column.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from catalog.facets import ColumnCodes, FacetIndex, UnknownColumn
from server.core import errors
from server.core.settings import MAX_K
from server.engine.protocol import Ranking
from server.query.types import Group, Query

__all__ = ["Ask", "Cap", "Tally", "caps_of", "filled", "groups_of"]

Ask: TypeAlias = Callable[[NDArray[np.bool_] | None, int], Awaitable[tuple[Ranking, bool]]]

MAX_CAPS = 3
"""Columns of `max_per`."""


@dataclass(frozen=True, slots=True)
class Cap:
    """A column, by its own name, and how many items of each value of it come."""

    column: str
    limit: int


class Tally:
    """What of the numbers is used up. For threads: the codes of a column may have to be made.

    taken_N: the items that were taken, bool [N].
    """

    def __init__(self, caps: Sequence[Cap], index: FacetIndex, items: int) -> None:
        self._columns = [(cap.limit, index.codes(cap.column)) for cap in caps]
        self._counts = [np.zeros(len(codes.values) + 1, np.int64) for _, codes in self._columns]
        self.taken_N = np.zeros(items, np.bool_)

    def place(self, leaves: Sequence[int]) -> None:
        """Count items that come anyhow."""
        for leaf in leaves:
            self.taken_N[leaf] = True
            for (_, codes), count_V in zip(self._columns, self._counts, strict=True):
                count_V[codes.code_E[leaf]] += 1

    def take(self, leaves: Sequence[int], most: int) -> list[int]:
        """The places of the first items, at most so many, for which there is room; they are counted."""
        places: list[int] = []
        for place, leaf in enumerate(leaves):
            if len(places) == most:
                break
            if all(self._room(leaf)):
                places.append(place)
                self.place([leaf])
        return places

    def out_N(self) -> NDArray[np.bool_]:
        """The items that cannot come any more: those that were taken, and all of values that are full."""
        out_N = self.taken_N.copy()
        for (limit, codes), count_V in zip(self._columns, self._counts, strict=True):
            full_V = count_V >= limit
            full_V[-1] = False  # without a value
            out_N |= full_V[codes.code_E]
        return out_N

    def _room(self, leaf: int) -> Iterator[bool]:
        for (limit, codes), count_V in zip(self._columns, self._counts, strict=True):
            code = codes.code_E[leaf]
            yield bool(code == len(codes.values) or count_V[code] < limit)


def caps_of(query: Query, index: FacetIndex) -> list[Cap]:
    """The caps of a query. Raises Problem for one that cannot be."""
    caps = []
    if query.group_by is not None:
        caps.append(Cap(_column(query.group_by, index, "group_by"), query.group_limit))
    if query.max_per is not None:
        parts = query.max_per.split(",")
        if len(parts) > MAX_CAPS:
            raise errors.invalid_parameter(
                "max_per", "too_many_caps", f"{len(parts)} columns are named, at most {MAX_CAPS} are capped"
            )
        caps += [_cap(part.strip(), index) for part in parts]
    return caps


async def filled(tally: Tally, k: int, most: int, ask: Ask) -> Ranking:
    """At least k items for which there is room, where there are so many, and at most `most`.

    ask: for a ranking of all items but for some, in a round that is counted from 0, and whether it has the last item.
    """
    found: Ranking | None = None
    for rounds in range(k + 1):
        out_N = await asyncio.to_thread(tally.out_N)
        ranking, is_last = await ask(out_N, rounds)
        taken = ranking.at(tally.take(ranking.leaves, most - (0 if found is None else len(found.leaves))))
        found = taken if found is None else found.then(taken)
        if is_last or len(found.leaves) >= k:
            break
    assert found is not None, "one round is asked at least"
    return found


def groups_of(
    codes: ColumnCodes, leaves: Sequence[int], item_ids: Sequence[str], allowed_N: NDArray[np.bool_]
) -> list[Group]:
    """The groups of an answer's items by a column, in the order of the first item of each. allowed_N: what counts."""
    size_V, nulls = codes.counts(allowed_N), len(codes.values)
    members: dict[int, list[str]] = {}
    for place, (leaf, item_id) in enumerate(zip(leaves, item_ids, strict=True)):
        code = int(codes.code_E[leaf])
        members.setdefault(-1 - place if code == nulls else code, []).append(item_id)
    return [
        Group(None, 1, ids) if code < 0 else Group(codes.values[code].as_py(), int(size_V[code]), ids)
        for code, ids in members.items()
    ]


def _cap(part: str, index: FacetIndex) -> Cap:
    name, _, number = part.rpartition(":")
    if not (number.isascii() and number.isdecimal() and len(number) <= len(str(MAX_K)) and 1 <= int(number) <= MAX_K):
        text = f"{part[:100]!r} is no cap: write a column and a number from 1 to {MAX_K}, as in brand:3"
        raise errors.invalid_parameter("max_per", "invalid_cap", text)
    return Cap(_column(name, index, "max_per"), int(number))


def _column(name: str, index: FacetIndex, field: str) -> str:
    try:
        column = index.find(name)
    except UnknownColumn as unknown:
        raise errors.invalid_parameter(field, "unknown_column", str(unknown)) from unknown
    if not index.is_ordered(column):
        text = f"{column!r} holds lists, so that an item has several values: name a column of one value an item"
        raise errors.invalid_parameter(field, "ungroupable_column", text)
    return column
