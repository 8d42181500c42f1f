"""The item index on the device that searches it: as tensors, or as arrays in main memory."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from catalog.errors import ItemIndexError
from catalog.ids.index import ItemIndex

__all__ = ["DeviceIndex", "check_level_tokens"]


class DeviceIndex:
    """An ItemIndex on a device. Each form of it is made at its first use.

    edges: number of edges of every level.
    """

    def __init__(self, index: ItemIndex, device: torch.device | str = "cpu") -> None:
        self.index = index
        self.device = torch.device(device)
        self.edges = tuple(len(code) for code in index.code)

    @cached_property
    def code(self) -> list[Tensor]:
        """For every level, the code of each edge, int32 [edges], on the device."""
        return [self._tensor(code) for code in self.index.code]

    @cached_property
    def children(self) -> list[Tensor]:
        """For every level, the begin and the end of each node's edges, int32 [nodes, 2], on the device."""
        return [self._tensor(child).unfold(0, 2, 1) for child in self.index.first_child]

    @cached_property
    def levels(self) -> list[tuple[NDArray[Any], NDArray[np.int32], NDArray[np.int32]]]:
        """For every level, in main memory: three arrays.

        They are the code of each edge [edges], the first edge of each node [nodes + 1], and the first leaf below each
        edge [edges + 1].
        """
        index = self.index
        return [
            (_in_memory(index.code[level]), _in_memory(index.first_child[level]), index.leaf_start(level + 1))
            for level in range(index.depth)
        ]

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        return torch.tensor(array.astype(np.int32), device=self.device)

    @property
    def depth(self) -> int:
        """L, the number of levels."""
        return self.index.depth

    @property
    def sizes(self) -> Sequence[int]:
        """Number of codes of every level."""
        return self.index.sizes


def _in_memory(array: NDArray[Any]) -> NDArray[Any]:
    """A read-only copy that is not mapped from a file."""
    copy = np.array(array)
    copy.flags.writeable = False
    return copy


def check_level_tokens(index: ItemIndex, level_tokens: Sequence[NDArray[np.integer]], vocabulary: int) -> None:
    """Raise ItemIndexError unless every code of the index has a token in a vocabulary of this size."""
    sizes = tuple(len(tokens) for tokens in level_tokens)
    if sizes != index.sizes:
        raise ItemIndexError(f"level tokens have sizes {sizes}, the index has {index.sizes}: they must come together")
    for level, tokens in enumerate(level_tokens):
        if tokens.min() < 0 or tokens.max() >= vocabulary:
            raise ItemIndexError(f"tokens of level {level} reach outside the model's vocabulary of {vocabulary}")
