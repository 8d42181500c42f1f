"""The item index: an immutable trie of code paths in flat, memory-mapped arrays.

Nodes are stored level by level, and the children of a node are contiguous and sorted by code. Edge number e of a level
leads to node number e of the next level, so no child pointers are stored. The edges of the last level are the leaves,
in the lexicographic order of their paths, so every node owns one interval of leaves, which makes exact filtering cheap.
Trie libraries (marisa-trie, datrie) hold strings, and answer neither for a batch of nodes nor for intervals of leaves.

Shapes: N items, L levels; per level n nodes and e edges.
"""

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catalog.errors import ItemIndexError

__all__ = ["ItemIndex"]

FORMAT = 1
DESCRIPTION = "index.json"


class ItemIndex:
    """The code paths of all items, made by `build` or `open`.

    sizes: number of codes of every level.
    code: for every level, the code of each edge, uint16 [e], or int32 for a level of more than 65,536 codes.
    first_child: for every level, the first edge of each node, int32 [n + 1].
    """

    def __init__(
        self, sizes: Sequence[int], code: Sequence[NDArray[Any]], first_child: Sequence[NDArray[np.int32]]
    ) -> None:
        self.sizes = tuple(int(size) for size in sizes)
        self.code = tuple(code)
        self.first_child = tuple(first_child)
        for array in (*self.code, *self.first_child):
            array.flags.writeable = False

    @classmethod
    def build(cls, codes_NL: NDArray[Any], sizes: Sequence[int]) -> tuple["ItemIndex", NDArray[np.int64]]:
        """Build the index of items whose codes are the rows of `codes_NL`, in any order.

        Returns the index and the input row of every leaf, int64 [N].
        Raises ItemIndexError for codes out of range, or for two items with the same path.
        """
        codes_NL = np.asarray(codes_NL)
        _check_codes(codes_NL, sizes)
        order = _lexicographic_order(codes_NL, sizes)
        columns = [codes_NL[order, level] for level in range(len(sizes))]
        begins = np.zeros(len(order), bool)
        begins[0] = True
        code, first_child = [], []
        parent_leaf = np.zeros(1, np.int64)  # first leaf of every node of this level
        for column, size in zip(columns, sizes, strict=True):
            begins[1:] |= column[1:] != column[:-1]
            edge_of_leaf = np.cumsum(begins, dtype=np.int32) - np.int32(1)
            leaf = np.flatnonzero(begins)
            code.append(column[leaf].astype(_code_type(size)))
            first_child.append(np.append(edge_of_leaf[parent_leaf], np.int32(len(leaf))))
            parent_leaf = leaf
        if not begins.all():
            second = int(np.flatnonzero(~begins)[0])
            raise ItemIndexError(
                f"items {order[second - 1]} and {order[second]} have the same codes {codes_NL[order[second]].tolist()}:"
                " make codes unique before building the index"
            )
        return cls(sizes, code, first_child), order

    def save(self, directory: Path) -> None:
        """Write the arrays and their description into `directory`, created if missing."""
        directory.mkdir(parents=True, exist_ok=True)
        for level in range(self.depth):
            np.save(directory / _code_file(level), self.code[level])
            np.save(directory / _child_file(level), self.first_child[level])
        description = {"format": FORMAT, "sizes": self.sizes, "leaves": self.leaves}
        (directory / DESCRIPTION).write_text(json.dumps(description))

    @classmethod
    def open(cls, directory: Path) -> "ItemIndex":
        """Map a saved index into memory. Raises ItemIndexError if a file is missing or damaged."""
        try:
            description = json.loads((directory / DESCRIPTION).read_text())
            if description["format"] != FORMAT:
                raise ItemIndexError(
                    f"{directory} has index format {description['format']}, not {FORMAT}: build it again"
                )
            sizes = [int(size) for size in description["sizes"]]
            code = [np.load(directory / _code_file(level), mmap_mode="r") for level in range(len(sizes))]
            children = [np.load(directory / _child_file(level), mmap_mode="r") for level in range(len(sizes))]
            leaves = int(description["leaves"])
        except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
            raise ItemIndexError(f"cannot read the item index in {directory}: {error}; build it again") from error
        problem = _damage(sizes, leaves, code, children)
        if problem is not None:
            raise ItemIndexError(f"the item index in {directory} is damaged: {problem}; build it again")
        return cls(sizes, code, children)

    @property
    def depth(self) -> int:
        """L, the number of levels."""
        return len(self.sizes)

    @property
    def leaves(self) -> int:
        """N, the number of items."""
        return len(self.code[-1])

    def __len__(self) -> int:
        return self.leaves

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(array.nbytes for array in (*self.code, *self.first_child))

    @cached_property
    def fan_out(self) -> tuple[int, ...]:
        """For every level, the greatest number of edges of one node."""
        return tuple(int(np.diff(child).max()) for child in self.first_child)

    @cached_property
    def _leaf_starts(self) -> tuple[NDArray[np.int32], ...]:
        starts = [np.arange(self.leaves + 1, dtype=np.int32)]
        for child in reversed(self.first_child):
            starts.append(starts[-1][child])
        for start in starts:
            start.flags.writeable = False
        return tuple(reversed(starts))

    def leaf_start(self, level: int) -> NDArray[np.int32]:
        """The first leaf of every node of a level, int32 [n + 1]: node v owns the leaves [start[v], start[v + 1]).

        Level 0 is the root; the nodes of level L are the leaves themselves.
        """
        return self._leaf_starts[level]

    def paths(self, leaves: NDArray[Any]) -> NDArray[np.int64]:
        """The codes of leaves [n], int64 [n, L]."""
        edge = np.asarray(leaves, np.int64)
        if edge.size > 0 and (edge.min() < 0 or edge.max() >= self.leaves):
            raise ItemIndexError(f"leaves must be in [0, {self.leaves})")
        path = np.empty((len(edge), self.depth), np.int64)
        for level in reversed(range(self.depth)):
            path[:, level] = self.code[level][edge]
            edge = np.searchsorted(self.first_child[level], edge, side="right") - 1
        return path

    def path(self, leaf: int) -> tuple[int, ...]:
        """The codes of one leaf."""
        return tuple(int(code) for code in self.paths(np.array([leaf]))[0])

    def leaf(self, path: Sequence[int]) -> int | None:
        """The leaf of an item with these codes, or None."""
        if len(path) != self.depth:
            raise ValueError(f"a path has {self.depth} codes, not {len(path)}")
        return self.node(path)

    def node(self, prefix: Sequence[int]) -> int | None:
        """The node at the end of a prefix, which is of level len(prefix), or None if no item's path begins with it."""
        node = 0
        for code, child, wanted in zip(self.code, self.first_child, prefix, strict=False):
            low, high = int(child[node]), int(child[node + 1])
            node = low + int(np.searchsorted(code[low:high], wanted))
            if node == high or code[node] != wanted:
                return None
        return node


def _code_file(level: int) -> str:
    return f"code{level}.npy"


def _child_file(level: int) -> str:
    return f"first_child{level}.npy"


def _code_type(size: int) -> type[np.uint16] | type[np.int32]:
    return np.uint16 if size <= 1 << 16 else np.int32


def _check_codes(codes_NL: NDArray[Any], sizes: Sequence[int]) -> None:
    if codes_NL.ndim != 2 or codes_NL.shape[1] != len(sizes) or len(sizes) == 0:
        raise ItemIndexError(f"codes have shape {codes_NL.shape}, want [items, {len(sizes)}], a column for every level")
    if codes_NL.dtype.kind not in "iu":
        raise ItemIndexError(f"codes are {codes_NL.dtype}, want integers")
    if not 0 < len(codes_NL) < 1 << 31:
        raise ItemIndexError(f"an index needs between 1 and 2^31 - 1 items, got {len(codes_NL)}")
    for level, (low, high, size) in enumerate(zip(codes_NL.min(0), codes_NL.max(0), sizes, strict=True)):
        if low < 0 or high >= size:
            raise ItemIndexError(f"codes of level {level} span [{low}, {high}], outside [0, {size})")


def _lexicographic_order(codes_NL: NDArray[Any], sizes: Sequence[int]) -> NDArray[np.int64]:
    """Row numbers in the lexicographic order of their codes, which are packed into as few 63-bit words as possible."""
    words: list[NDArray[np.int64]] = []
    room = 0
    for level, size in enumerate(sizes):
        bits = max(1, (int(size) - 1).bit_length())
        if bits > room:
            words.append(np.zeros(len(codes_NL), np.int64))
            room = 63
        words[-1] <<= bits
        words[-1] |= codes_NL[:, level].astype(np.int64)
        room -= bits
    order = np.argsort(words[0]) if len(words) == 1 else np.lexsort(words[::-1])
    return order.astype(np.int64, copy=False)


def _damage(
    sizes: Sequence[int], leaves: int, code: Sequence[NDArray[Any]], first_child: Sequence[NDArray[Any]]
) -> str | None:
    """What is wrong with these arrays, or None. Reads all of them, which takes about 5 ms for a million items."""
    if not sizes or len(code[-1]) != leaves:
        return f"{leaves} leaves are announced and not stored"
    nodes = 1
    for level, (edge_code, child, size) in enumerate(zip(code, first_child, sizes, strict=True)):
        if edge_code.dtype != _code_type(size) or child.dtype != np.int32:
            return f"level {level} holds {edge_code.dtype} codes and {child.dtype} children"
        if edge_code.ndim != 1 or child.shape != (nodes + 1,):
            return f"level {level} has shapes {edge_code.shape} and {child.shape}, want [edges] and [{nodes + 1}]"
        problem = _level_damage(edge_code, child, size)
        if problem is not None:
            return f"{problem} at level {level}"
        nodes = len(edge_code)
    return None


def _level_damage(edge_code: NDArray[Any], child: NDArray[np.int32], size: int) -> str | None:
    if child[0] != 0 or child[-1] != len(edge_code) or (child[1:] <= child[:-1]).any():
        return f"children do not partition the {len(edge_code)} edges"
    if edge_code.min() < 0 or edge_code.max() >= size:
        return f"codes are outside [0, {size})"
    ascending = edge_code[1:] > edge_code[:-1]
    ascending[child[1:-1] - 1] = True  # a new node may begin with a smaller code
    return None if ascending.all() else "codes of a node are not ascending"
