"""Which leaves each row of a batch wants.

A *leaf set* (a filter, shared by many requests) has a running count of its leaves, so that one subtraction tells how
many are in a node's interval. *Excluded* leaves (seen items) and *included* ones (candidates to rank) are few and a
row's own: they are listed, in order. Both ways are exact at every level.

Shapes: N items, R rows, e edges of a level, D listed leaves of all rows together, G rows of one leaf set.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from catalog.errors import ItemIndexError
from catalog.ids.index import ItemIndex

__all__ = ["LeafSet", "Restriction", "check_leaves"]

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


class LeafSet:
    """A set of leaves that requests may be limited to.

    count: how many of the set lie below each leaf number, int32 [N + 1].
    """

    def __init__(self, index: ItemIndex, leaves: Leaves) -> None:
        """Raises ItemIndexError if `leaves` is not strictly increasing, or reaches outside the index."""
        check_leaves(leaves, index, "allowed")
        member = np.zeros(len(index), bool)
        member[leaves] = True
        self._count(member)

    @classmethod
    def of_mask(cls, index: ItemIndex, member_N: NDArray[np.bool_]) -> "LeafSet":
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
        """Which of `leaves` are in the set."""
        member: NDArray[np.bool_] = self.count[leaves + 1] > self.count[leaves]
        return member


class Restriction:
    """What the rows of one batch want of the catalog.

    excluded: strictly increasing leaves for every row. allowed: the leaf set each row is limited to. included: strictly
    increasing leaves each row is limited to. None, for a row or for all, does not limit. What is left is
    (allowed and included) less excluded. Raises ItemIndexError for leaves out of order or out of range.

    wanted_R: how many leaves each row can get.
    groups: the distinct leaf sets, None for the whole catalog, each with its rows.
    listed_D, listed_end_R: listed leaves, row after row, and where those of a row end.
    including_R: True: a row wants just its listed leaves. False: it wants its set less its listed leaves, which are
    all in the set.
    """

    def __init__(
        self,
        index: ItemIndex,
        excluded: Sequence[Leaves],
        allowed: Sequence[LeafSet | None] | None = None,
        included: Sequence[Leaves | None] | None = None,
    ) -> None:
        rows = len(excluded)
        allowed = [None] * rows if allowed is None else allowed
        included = [None] * rows if included is None else included
        listed = [_listed(index, *row) for row in zip(excluded, allowed, included, strict=True)]
        length_R = np.array([len(leaves) for leaves in listed], np.int64)
        self.including_R = np.array([leaves is not None for leaves in included], bool)
        self.listed_D = np.concatenate([*listed, np.empty(0, np.int64)])
        self.listed_end_R = np.cumsum(length_R)
        whole_R = np.array([len(index) if chosen is None else len(chosen) for chosen in allowed], np.int64)
        self.wanted_R: NDArray[np.int64] = np.where(self.including_R, length_R, whole_R - length_R)
        self.groups = _groups(allowed)


def _listed(index: ItemIndex, excluded: Leaves, allowed: LeafSet | None, included: Leaves | None) -> NDArray[np.int64]:
    """The leaves that a row wants, if it includes some; else those of its set that it does not."""
    check_leaves(excluded, index, "excluded")
    out = excluded.astype(np.int64)
    if included is None:
        return out if allowed is None else out[allowed.members(out)]
    check_leaves(included, index, "included")
    only = included.astype(np.int64)
    if allowed is not None:
        only = only[allowed.members(only)]
    return np.setdiff1d(only, out, assume_unique=True)


def _groups(allowed: Sequence[LeafSet | None]) -> list[tuple[LeafSet | None, NDArray[np.int64]]]:
    rows: dict[int, list[int]] = {}
    for row, chosen in enumerate(allowed):
        rows.setdefault(id(chosen), []).append(row)
    return [(allowed[members[0]], np.array(members, np.int64)) for members in rows.values()]
