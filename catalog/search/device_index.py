"""The item index where it is searched: as tensors on a device, or as arrays in memory."""

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
    """An ItemIndex in the memory of the device that searches it. What no search asks for is not made.

    edges: per level, how many there are.
    """

    def __init__(self, index: ItemIndex, device: torch.device | str = "cpu") -> None:
        self.index = index
        self.device = torch.device(device)
        self.edges = tuple(len(code) for code in index.code)

    @cached_property
    def code(self) -> list[Tensor]:
        """Per level, the code of every edge, int32 [edges], on the device."""
        return [self._tensor(code) for code in self.index.code]

    @cached_property
    def children(self) -> list[Tensor]:
        """Per level, the first of every node's edges and the one after its last, int32 [nodes, 2], on the device."""
        return [self._tensor(child).unfold(0, 2, 1) for child in self.index.first_child]

    @cached_property
    def levels(self) -> list[tuple[NDArray[Any], NDArray[np.int32], NDArray[np.int32]]]:
        """Per level, on the host: the code of every edge [edges], where the edges of every node begin [nodes + 1] and
        where the leaves below every edge begin [edges + 1]."""
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
    """A copy that is not mapped from a file, read-only like the index it is from."""
    copy = np.array(array)
    copy.flags.writeable = False
    return copy


def check_level_tokens(index: ItemIndex, level_tokens: Sequence[NDArray[np.integer]], vocabulary: int) -> None:
    """Raise ItemIndexError unless every code of the index has a token of a vocabulary of this size."""
    sizes = tuple(len(tokens) for tokens in level_tokens)
    if sizes != index.sizes:
        raise ItemIndexError(f"level tokens have sizes {sizes}, the index has {index.sizes}: they must come together")
    for level, tokens in enumerate(level_tokens):
        if tokens.min() < 0 or tokens.max() >= vocabulary:
            raise ItemIndexError(f"tokens of level {level} reach outside the model's vocabulary of {vocabulary}")
