"""Snapshots: immutable states of a catalog that changes while it serves.

A change makes a new snapshot, and requests under way keep the one that they began with. New items are inserted in the
order of their paths, so in every snapshot the number of a leaf is the row of its record. A deleted item keeps its row,
path and leaf, so that histories with it can still be rendered; it is marked as not present. Snapshots share whatever a
change does not touch.

Shapes: N items of a snapshot, with the deleted ones; K new items; M = N + K rows afterwards; L levels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count, islice
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from catalog.data.changes import AddedColumns, Change, Delete, Outcome, Upsert, last_changes, records_table
from catalog.data.columns.added import with_added
from catalog.data.items import Items
from catalog.errors import CatalogError
from catalog.ids.agreed_paths import NO_PATHS, AgreedPaths, Path, free_of
from catalog.ids.code_assigner import CodeAssigner
from catalog.ids.index import ItemIndex

__all__ = ["Snapshot"]


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """An immutable state of the catalog, which threads may share.

    number: 0 as published, and one more after every change.
    items: in the order of leaves, with the deleted ones.
    codes_NL: the codes of every item, int64.
    index: the index of these codes.
    present_N: False for a deleted item.
    serial_N: a number for every item that no change alters, int64: of published ones their rows then, of later ones the
        next. A change that comes to nothing leaves a gap.
    next_serials: gives them, to all snapshots that come from one.
    outcome: what the change that made this snapshot did.
    published_columns: the names of those that the items were published with.
    added_columns: the further ones that were asked for since, by name; the items were published with some of them where
        they were trained again in between.
    """

    number: int
    items: Items
    codes_NL: NDArray[np.int64]
    index: ItemIndex
    present_N: NDArray[np.bool_]
    serial_N: NDArray[np.int64]
    next_serials: Iterator[int]
    outcome: Outcome
    published_columns: frozenset[str] = frozenset()
    added_columns: Mapping[str, pa.DataType] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for array in (self.codes_NL, self.present_N, self.serial_N):
            array.flags.writeable = False

    @classmethod
    def published(cls, items: Items, codes_NL: NDArray[np.int64], index: ItemIndex) -> Snapshot:
        """The first snapshot of a bundle's items. Raises CatalogError if items, codes and index differ in size."""
        if not len(items) == len(codes_NL) == len(index):
            raise CatalogError(
                f"{len(items)} items, {len(codes_NL)} codes and {len(index)} leaves are not of one catalog: "
                "publish the bundle again"
            )
        _ = items.row_lookup  # made here, because it takes half a second for a million items
        present_N, serial_N = np.ones(len(items), bool), np.arange(len(items))
        columns = frozenset(items.table.column_names)
        return cls(0, items, codes_NL, index, present_N, serial_N, count(len(items)), Outcome(), columns)

    def delete(self, ids: Iterable[str]) -> Snapshot:
        """The snapshot without these items; its `outcome.missing` names those that the catalog does not have."""
        return self.apply([Delete(item_id) for item_id in ids])

    def upsert(self, records: Iterable[Mapping[str, Any]], code_assigner: CodeAssigner | None = None) -> Snapshot:
        """The snapshot with these whole records; see `apply`."""
        return self.apply([Upsert(record) for record in records], code_assigner)

    def apply(
        self, changes: Sequence[Change], code_assigner: CodeAssigner | None = None, paths: AgreedPaths = NO_PATHS
    ) -> Snapshot:
        """The snapshot after some changes, of which only the last to every item counts; columns come first.

        A known item keeps its path even if its text has changed, and is present again if it was deleted.

        code_assigner: gives new items their codes; None where the catalog cannot take new items.
        paths: those that new items have already, and those that they cannot have.
        Raises ItemsError that names a bad record and its field, and CatalogError where there are new items and no
        `code_assigner`, or no free codes for them. This snapshot is unchanged in any case.
        """
        last = last_changes(changes)
        records = {
            place: change.record
            for item_id, (place, change) in last.items()
            if change.record is not None and (isinstance(change, Upsert) or self.items.row_of(item_id) is None)
        }
        deletions = [item_id for item_id, (_, change) in last.items() if isinstance(change, Delete)]
        changed = replace(self, number=self.number + 1, outcome=Outcome())
        for _, change in last.values():
            if isinstance(change, AddedColumns):
                changed = changed._with_columns(change.types)
        if records:
            changed = changed._write(records_table(records, changed.items.table.schema), code_assigner, paths)
        return changed._without(deletions) if deletions else changed

    def path_of(self, item_id: str) -> Path | None:
        """The path of an item, deleted or not; None where there is no such item."""
        row = self.items.row_of(item_id)
        return None if row is None else tuple(self.codes_NL[row].tolist())

    def _with_columns(self, added: Mapping[str, pa.DataType]) -> Snapshot:
        table = with_added(self.items.table, added, self.added_columns, self.published_columns)
        return replace(self, items=Items(table, self.items.row_lookup), added_columns=dict(added))

    def _write(self, table: pa.Table, code_assigner: CodeAssigner | None, paths: AgreedPaths) -> Snapshot:
        rows = [self.items.row_of(item_id) for item_id in table["item_id"].to_pylist()]
        known = [place for place, row in enumerate(rows) if row is not None]
        new = [place for place, row in enumerate(rows) if row is None]
        changed = self
        if known:
            changed = changed._replaced(table.take(known), [row for row in rows if row is not None])
        return changed._inserted(table.take(new), code_assigner, paths) if new else changed

    def _replaced(self, table: pa.Table, rows: Sequence[int]) -> Snapshot:
        source_N = np.arange(len(self.items))
        source_N[rows] = len(self.items) + np.arange(len(rows))
        present_N = self.present_N.copy()
        present_N[rows] = True
        items = Items(_arranged(self.items.table, table, source_N), self.items.row_lookup)
        outcome = replace(self.outcome, replaced=tuple(table["item_id"].to_pylist()))
        return replace(self, items=items, present_N=present_N, outcome=outcome)

    def _inserted(self, table: pa.Table, code_assigner: CodeAssigner | None, paths: AgreedPaths) -> Snapshot:
        codes_KL = _coded(table, code_assigner, self.index, paths)
        codes_ML = np.concatenate([self.codes_NL, codes_KL])
        index, order_M = ItemIndex.build(codes_ML, self.index.sizes)  # fast, because nearly all of it is sorted already
        leaf_M = np.empty_like(order_M)
        leaf_M[order_M] = np.arange(len(order_M))
        moved_N, leaf_K = np.split(leaf_M, [len(self.items)])
        ids = tuple(table["item_id"].to_pylist())
        row_lookup = self.items.row_lookup.inserted(moved_N, ids, leaf_K)
        return replace(
            self,
            items=Items(_arranged(self.items.table, table, order_M), row_lookup),
            codes_NL=codes_ML[order_M],
            index=index,
            present_N=np.append(self.present_N, np.ones(len(ids), bool))[order_M],
            serial_N=np.append(self.serial_N, list(islice(self.next_serials, len(ids))))[order_M],
            outcome=replace(self.outcome, inserted=ids, moved_N=moved_N),
        )

    def _without(self, ids: Sequence[str]) -> Snapshot:
        rows = {item_id: self.items.row_of(item_id) for item_id in ids}
        gone = {item_id: row for item_id, row in rows.items() if row is not None and self.present_N[row]}
        present_N = self.present_N.copy()
        present_N[list(gone.values())] = False
        missing = tuple(item_id for item_id in ids if item_id not in gone)
        return replace(self, present_N=present_N, outcome=replace(self.outcome, deleted=tuple(gone), missing=missing))


def _coded(
    table: pa.Table, code_assigner: CodeAssigner | None, index: ItemIndex, paths: AgreedPaths
) -> NDArray[np.int64]:
    ids: list[str] = table["item_id"].to_pylist()
    known = {place: paths.of[item_id] for place, item_id in enumerate(ids) if item_id in paths.of}
    _check_paths({ids[place]: path for place, path in known.items()}, index)
    codes_KL = np.empty((len(ids), len(index.sizes)), np.int64)
    for place, path in known.items():
        codes_KL[place] = path
    rest = [place for place in range(len(ids)) if place not in known]
    if not rest:
        return codes_KL
    if code_assigner is None:
        named = ", ".join(repr(ids[place]) for place in rest[:3])
        raise CatalogError(
            f"{len(rest)} items are new ({named} …) and this catalog cannot code new items: train again with "
            "identifiers.scheme=semantic and identifiers.text=hashing"
        )
    codes_KL[rest] = code_assigner.assign(Items(table.take(rest)).texts(), index, paths.taken)
    return codes_KL


def _check_paths(path_of: Mapping[str, Path], index: ItemIndex) -> None:
    """Raises CatalogError for one that does not fit the index, or that two items would have."""
    fitting = {
        item_id
        for item_id, path in path_of.items()
        if len(path) == len(index.sizes) and all(0 <= code < size for code, size in zip(path, index.sizes, strict=True))
    }
    free, seen = set(free_of(index, [path_of[item_id] for item_id in fitting])), set[Path]()
    for item_id, path in path_of.items():
        if item_id not in fitting or path not in free or path in seen:
            raise CatalogError(
                f"the path {list(path)} that servers agreed on for {item_id!r} is another item's or none of this "
                "bundle: do all servers have the same bundle under this version?"
            )
        seen.add(path)


def _arranged(old: pa.Table, new: pa.Table, row_M: NDArray[np.int64]) -> pa.Table:
    """The rows `row_M` of `old` followed by `new`.

    Every column is one chunk, because `take` copies the whole of a chunked column.
    """
    both = pa.concat_tables([old, new])
    begin = np.flatnonzero(np.diff(row_M, prepend=-2) != 1)  # of every run of neighbours, which are copied at once
    length = np.diff(begin, append=len(row_M))
    runs = zip(row_M[begin].tolist(), length.tolist(), strict=True)
    return pa.concat_tables([both.slice(first, rows) for first, rows in runs]).combine_chunks()
