"""One state of a running catalog. A change makes a new state; requests in flight go on with the one they began with.

Items are inserted where their paths stand among the others, so that in every snapshot a leaf number is the row of its
record. A deleted item keeps its row, its path and its leaf, so that histories with it still render; it is only no
longer present. What a change does not touch is shared with the snapshot before.

Shapes: N items of a snapshot, deleted ones included; K new items; M rows afterwards; L levels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from catalog.data.changes import Change, Delete, Outcome, Upsert, last_changes, records_table
from catalog.data.items import Items
from catalog.errors import CatalogError
from catalog.ids.coding import ItemCoder
from catalog.ids.index import ItemIndex

__all__ = ["Snapshot"]


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """An immutable state of the catalog; safe to share between threads.

    number: 0 as published, one more after every change.
    items: in leaf order, deleted ones included. codes_NL: their codes, int64. index: of these codes.
    present_N: False for a deleted item.
    outcome: what the change that made this snapshot did.
    """

    number: int
    items: Items
    codes_NL: NDArray[np.int64]
    index: ItemIndex
    present_N: NDArray[np.bool_]
    outcome: Outcome

    def __post_init__(self) -> None:
        for array in (self.codes_NL, self.present_N):
            array.flags.writeable = False

    @classmethod
    def published(cls, items: Items, codes_NL: NDArray[np.int64], index: ItemIndex) -> Snapshot:
        """Raises CatalogError where items, codes and index are not of one catalog's size."""
        if not len(items) == len(codes_NL) == len(index):
            raise CatalogError(
                f"{len(items)} items, {len(codes_NL)} codes and {len(index)} leaves are not of one catalog: "
                "publish the bundle again"
            )
        _ = items.row_map  # half a second for a million items, here and not in the first change
        return cls(0, items, codes_NL, index, np.ones(len(items), bool), Outcome())

    def delete(self, ids: Iterable[str]) -> Snapshot:
        """Without these items. Those that the catalog does not have are in the new snapshot's `outcome.missing`."""
        return self.apply([Delete(item_id) for item_id in ids])

    def upsert(self, records: Iterable[Mapping[str, Any]], coder: ItemCoder | None = None) -> Snapshot:
        """With these whole records; see `apply`."""
        return self.apply([Upsert(record) for record in records], coder)

    def apply(self, changes: Sequence[Change], coder: ItemCoder | None = None) -> Snapshot:
        """All changes together; of several to one item only the last counts.

        A known item keeps its path even if its text is another now, and is present again if it was deleted. A new one
        is coded with `coder`. Raises ItemsError that names a bad record and its field, and CatalogError where there are
        new items and no coder or no room for them. This snapshot stays as it is, whatever happens.
        """
        last = last_changes(changes)
        records = {place: change.record for place, change in last.values() if isinstance(change, Upsert)}
        deletions = [item_id for item_id, (_, change) in last.items() if isinstance(change, Delete)]
        changed = replace(self, number=self.number + 1, outcome=Outcome())
        if records:
            changed = changed._write(records_table(records, self.items.table.schema), coder)
        return changed._without(deletions) if deletions else changed

    def _write(self, table: pa.Table, coder: ItemCoder | None) -> Snapshot:
        rows = [self.items.row_of(item_id) for item_id in table["item_id"].to_pylist()]
        known = [place for place, row in enumerate(rows) if row is not None]
        new = [place for place, row in enumerate(rows) if row is None]
        changed = self
        if known:
            changed = changed._replaced(table.take(known), [row for row in rows if row is not None])
        return changed._inserted(table.take(new), coder) if new else changed

    def _replaced(self, table: pa.Table, rows: Sequence[int]) -> Snapshot:
        source_N = np.arange(len(self.items))
        source_N[rows] = len(self.items) + np.arange(len(rows))
        present_N = self.present_N.copy()
        present_N[rows] = True
        items = Items(_arranged(self.items.table, table, source_N), self.items.row_map)
        outcome = replace(self.outcome, replaced=tuple(table["item_id"].to_pylist()))
        return replace(self, items=items, present_N=present_N, outcome=outcome)

    def _inserted(self, table: pa.Table, coder: ItemCoder | None) -> Snapshot:
        codes_KL = _coded(table, coder, self.index)
        codes_ML = np.concatenate([self.codes_NL, codes_KL])
        index, order_M = ItemIndex.build(codes_ML, self.index.sizes)  # sorting what is nearly sorted takes no time
        leaf_M = np.empty_like(order_M)
        leaf_M[order_M] = np.arange(len(order_M))
        moved_N, leaf_K = np.split(leaf_M, [len(self.items)])
        ids = tuple(table["item_id"].to_pylist())
        row_map = self.items.row_map.inserted(moved_N, ids, leaf_K)
        return replace(
            self,
            items=Items(_arranged(self.items.table, table, order_M), row_map),
            codes_NL=codes_ML[order_M],
            index=index,
            present_N=np.append(self.present_N, np.ones(len(ids), bool))[order_M],
            outcome=replace(self.outcome, inserted=ids, moved_N=moved_N),
        )

    def _without(self, ids: Sequence[str]) -> Snapshot:
        rows = {item_id: self.items.row_of(item_id) for item_id in ids}
        gone = {item_id: row for item_id, row in rows.items() if row is not None and self.present_N[row]}
        present_N = self.present_N.copy()
        present_N[list(gone.values())] = False
        missing = tuple(item_id for item_id in ids if item_id not in gone)
        return replace(self, present_N=present_N, outcome=replace(self.outcome, deleted=tuple(gone), missing=missing))


def _coded(table: pa.Table, coder: ItemCoder | None, index: ItemIndex) -> NDArray[np.int64]:
    if coder is None:
        ids = ", ".join(map(repr, table["item_id"].to_pylist()[:3]))
        raise CatalogError(
            f"{len(table)} items are new ({ids} …) and this catalog cannot code new items: train again with "
            "identifiers.scheme=semantic and identifiers.text=hashing"
        )
    return coder.code(Items(table).texts(), index)


def _arranged(old: pa.Table, new: pa.Table, row_M: NDArray[np.int64]) -> pa.Table:
    """Rows `row_M` of `old` with `new` behind it, every column in one piece: else each later `take` copies it whole."""
    both = pa.concat_tables([old, new])
    begin = np.flatnonzero(np.diff(row_M, prepend=-2) != 1)  # most rows follow their neighbour: copied in runs
    length = np.diff(begin, append=len(row_M))
    runs = zip(row_M[begin].tolist(), length.tolist(), strict=True)
    return pa.concat_tables([both.slice(first, rows) for first, rows in runs]).combine_chunks()
