"""Which codes may follow a prefix of an identifier: those with which the identifier of some item goes on.

N items, L levels, P items of a micro-batch, C codes of a level, U distinct nodes of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from catalog.ids.index import ItemIndex

__all__ = ["ChildMasks"]


class ChildMasks:
    """The children of the nodes on the way to each item, from the item index.

    codes_NL: the codes of all items, in leaf order.
    sizes: how many codes each level has.
    """

    def __init__(self, codes_NL: np.ndarray, sizes: Sequence[int]) -> None:
        self._index, order_N = ItemIndex.build(codes_NL, sizes)
        if not (order_N == np.arange(len(order_N))).all():
            raise ValueError("the codes are not in the order of leaves")

    def of(self, leaves_P: np.ndarray) -> Iterator[np.ndarray]:
        """For every level, which codes may follow the codes before in each item's identifier, bool [P, C]."""
        for level in range(self._index.depth):
            code, first_child = self._index.code[level], self._index.first_child[level]
            node_P = np.searchsorted(self._index.leaf_start(level), leaves_P, side="right") - 1
            node_U, place_P = np.unique(node_P, return_inverse=True)
            low_U, count_U = first_child[node_U], first_child[node_U + 1] - first_child[node_U]
            row = np.repeat(np.arange(len(node_U)), count_U)
            edge = np.arange(len(row)) + np.repeat(low_U - (np.cumsum(count_U) - count_U), count_U)
            mask_UC = np.zeros((len(node_U), self._index.sizes[level]), dtype=bool)
            mask_UC[row, code[edge]] = True
            yield mask_UC[place_P]
