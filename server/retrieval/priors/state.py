"""The priors of one state of the catalog, and of the next one after a change.

The priors know items by their serial numbers, which stay; their leaves move when items are inserted.

Shapes: N items of a snapshot, S serial numbers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from catalog.data.items import Items
from catalog.priors.priors import Priors
from catalog.snapshot import Snapshot

__all__ = ["Number", "PriorState", "after_change", "by_leaf"]

Number = TypeVar("Number", np.float64, np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class PriorState:
    """The priors of one state of the catalog.

    priors: None for those of the bundle as it was published, which may not be read yet.
    serial_N: the serial number of the item of every leaf, int64.
    leaf_S: the leaf of every serial number, int64; -1 where there is no such item.
    """

    priors: Priors | None
    serial_N: NDArray[np.int64]
    leaf_S: NDArray[np.int64]


def by_leaf(value_S: NDArray[Number], serial_N: NDArray[np.int64]) -> NDArray[Number]:
    """The values of all leaves, by those of serial numbers; an item that came since has 0."""
    value_N = np.zeros(len(serial_N), value_S.dtype)
    known_N = serial_N < len(value_S)
    value_N[known_N] = value_S[serial_N[known_N]]
    return value_N


def after_change(state: PriorState, snapshot: Snapshot, ids: Iterable[str]) -> PriorState:
    """The state after a change of the catalog.

    state: before it, with its priors read. snapshot: after it. ids: of all items that it may have touched.
    """
    assert state.priors is not None, "they are read before they are changed"
    rows = np.array([row for row in map(snapshot.items.row_of, ids) if row is not None], np.int64)
    present, new = snapshot.present_N[rows], snapshot.serial_N[rows] >= len(state.leaf_S)
    priors = state.priors
    if len(rows) > 0:
        written, gone = rows[present | new], snapshot.serial_N[rows[~present & ~new]]
        items = Items(snapshot.items.table.take(written))
        priors = priors.with_items(snapshot.serial_N[written], items, gone.tolist())
    if (new & ~present).any():  # deleted before they came here: as in catalogs that had them first
        written, gone = rows[:0], snapshot.serial_N[rows[new & ~present]]
        priors = priors.with_items(written, Items(snapshot.items.table.slice(0, 0)), gone.tolist())
    leaf_S = state.leaf_S
    if snapshot.serial_N is not state.serial_N:
        leaf_S = np.full(int(snapshot.serial_N.max(initial=-1)) + 1, -1, np.int64)
        leaf_S[snapshot.serial_N] = np.arange(len(snapshot.serial_N))
    return PriorState(priors, snapshot.serial_N, leaf_S)
