"""Restrictions of a search: which leaves each row of a batch may return.

A *filter bitmap*, which many requests share, keeps a running count of its leaves, so that one subtraction tells how
many are in a node's interval. The *deny list* (seen items) and the *allow list* (candidates to rank) of a row are
short, so their leaves are listed in order. Both are exact at every level.

Shapes: N items, R rows, e edges of a level, D listed leaves of all rows together, G rows of one filter bitmap.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from catalog.errors import ItemIndexError
from catalog.ids.index import ItemIndex

__all__ = ["FilterBitmap", "Restriction", "check_leaves"]

Leaves = NDArray[np.integer]


def check_leaves(leaves: Leaves, index: ItemIndex, what: str) -> None:
    """Raise ItemIndexError unless `leaves` is strictly increasing and within the catalog."""
    if leaves.ndim != 1 or (leaves.size > 0 and leaves.dtype.kind not in "iu"):
        raise ItemIndexError(f"{what} leaves must be a list of leaf numbers, got {leaves.dtype} {leaves.shape}")
    if leaves.size == 0:
        return
    if (leaves[1:] <= leaves[:-1]).any():
        raise ItemIndexError(f"{what} leaves must be strictly increasing: sort them and drop repeats")
    if leaves[0] < 0 or leaves[-1] >= len(index):
        raise ItemIndexError(f"{what} leaves [{leaves[0]}, {leaves[-1]}] reach outside the {len(index)} of the index")


class FilterBitmap:
    """The leaves that a filter lets through.

    count: number of these leaves that are below each leaf number, int32 [N + 1].
    """

    def __init__(self, index: ItemIndex, leaves: Leaves) -> None:
        """Raises ItemIndexError if `leaves` is not strictly increasing, or reaches outside the index."""
        check_leaves(leaves, index, "filtered")
        member = np.zeros(len(index), bool)
        member[leaves] = True
        self._count(member)

    @classmethod
    def of_mask(cls, index: ItemIndex, member_N: NDArray[np.bool_]) -> "FilterBitmap":
        """The leaves where `member_N` is true. Raises ItemIndexError for a mask of another length."""
        if member_N.shape != (len(index),):
            raise ItemIndexError(f"a mask of shape {member_N.shape} does not fit the {len(index)} leaves of the index")
        chosen = cls.__new__(cls)
        chosen._count(member_N)
        return chosen

    def _count(self, member_N: NDArray[np.bool_]) -> None:
        self.count: NDArray[np.int32] = np.zeros(len(member_N) + 1, np.int32)
        np.cumsum(member_N, dtype=np.int32, out=self.count[1:])

    def __len__(self) -> int:
        return int(self.count[-1])

    def members(self, leaves: Leaves) -> NDArray[np.bool_]:
        """Whether the filter lets each of these leaves through."""
        member: NDArray[np.bool_] = self.count[leaves + 1] > self.count[leaves]
        return member


class Restriction:
    """The leaves that the rows of one batch may return.

    deny: per row, the leaves that must not come back, strictly increasing.
    filters: per row, the bitmap of the leaves that may; None lets all through.
    allow: per row, the only leaves that may, strictly increasing; None lets all through.

    A leaf may come back if filter and allow list let it through and the deny list does not name it. Raises
    ItemIndexError for leaves out of order or out of range.

    wanted_R: number of leaves that each row may return.
    groups: the distinct filter bitmaps, None for the whole catalog, each with its rows.
    listed_D, listed_end_R: the listed leaves, row after row, and the end of each row's.
    allowing_R: True where a row may return only its listed leaves; False where it may return those of its filter
        except for its listed leaves, all of which the filter lets through.
    """

    def __init__(
        self,
        index: ItemIndex,
        deny: Sequence[Leaves],
        filters: Sequence[FilterBitmap | None] | None = None,
        allow: Sequence[Leaves | None] | None = None,
    ) -> None:
        rows = len(deny)
        filters = [None] * rows if filters is None else filters
        allow = [None] * rows if allow is None else allow
        listed = [_listed(index, *row) for row in zip(deny, filters, allow, strict=True)]
        length_R = np.array([len(leaves) for leaves in listed], np.int64)
        self.allowing_R = np.array([leaves is not None for leaves in allow], bool)
        self.listed_D = np.concatenate([*listed, np.empty(0, np.int64)])
        self.listed_end_R = np.cumsum(length_R)
        whole_R = np.array([len(index) if chosen is None else len(chosen) for chosen in filters], np.int64)
        self.wanted_R: NDArray[np.int64] = np.where(self.allowing_R, length_R, whole_R - length_R)
        self.groups = _groups(filters)
        self._filters = filters

    def members(self, row: int, leaves: Leaves) -> NDArray[np.bool_]:
        """Whether a row may return each of these leaves."""
        listed = self.listed_D[self.listed_end_R[row - 1] if row > 0 else 0 : self.listed_end_R[row]]
        if self.allowing_R[row]:
            return np.isin(leaves, listed)
        chosen = self._filters[row]
        let_through = np.ones(len(leaves), bool) if chosen is None else chosen.members(leaves)
        return let_through & ~np.isin(leaves, listed)


def _listed(index: ItemIndex, deny: Leaves, chosen: FilterBitmap | None, allow: Leaves | None) -> NDArray[np.int64]:
    """The leaves that a row may return, if it has an allow list; otherwise those of its filter that it may not."""
    check_leaves(deny, index, "denied")
    out = deny.astype(np.int64)
    if allow is None:
        return out if chosen is None else out[chosen.members(out)]
    check_leaves(allow, index, "allowed")
    only = allow.astype(np.int64)
    if chosen is not None:
        only = only[chosen.members(only)]
    return np.setdiff1d(only, out, assume_unique=True)


def _groups(filters: Sequence[FilterBitmap | None]) -> list[tuple[FilterBitmap | None, NDArray[np.int64]]]:
    rows: dict[int, list[int]] = {}
    for row, chosen in enumerate(filters):
        rows.setdefault(id(chosen), []).append(row)
    return [(filters[members[0]], np.array(members, np.int64)) for members in rows.values()]
