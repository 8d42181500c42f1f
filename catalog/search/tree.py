"""The item index as tensors on the device that searches it."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from catalog.errors import ItemIndexError
from catalog.index import ItemIndex

__all__ = ["Tree", "check_level_tokens"]


class Tree:
    """Tensor copy of an ItemIndex.

    code: per level, the code of every edge, int32 [edges].
    children: per level, the first of every node's edges and the one after its last, int32 [nodes, 2].
    edges: per level, how many there are.
    """

    def __init__(self, index: ItemIndex, device: torch.device | str = "cpu") -> None:
        self.index = index
        self.device = torch.device(device)
        self.code = [self._tensor(code) for code in index.code]
        self.children = [self._tensor(child).unfold(0, 2, 1) for child in index.first_child]
        self.edges = tuple(len(code) for code in index.code)

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.tensor(array.astype(np.int32), device=self.device)

    @property
    def depth(self) -> int:
        """L, the number of levels."""
        return self.index.depth

    @property
    def sizes(self) -> Sequence[int]:
        """Number of codes of every level."""
        return self.index.sizes


def check_level_tokens(index: ItemIndex, level_tokens: Sequence[NDArray[np.integer]], vocabulary: int) -> None:
    """Raise ItemIndexError unless every code of the index has a token of a vocabulary of this size."""
    sizes = tuple(len(tokens) for tokens in level_tokens)
    if sizes != index.sizes:
        raise ItemIndexError(f"level tokens have sizes {sizes}, the index has {index.sizes}: they must come together")
    for level, tokens in enumerate(level_tokens):
        if tokens.min() < 0 or tokens.max() >= vocabulary:
            raise ItemIndexError(f"tokens of level {level} reach outside the model's vocabulary of {vocabulary}")
