"""The item index as tensors on the device that searches it."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from catalog.index import ItemIndex

__all__ = ["Tree"]


class Tree:
    """Tensor copy of an ItemIndex.

    code: per level, the code of every edge, int32 [edges].
    first_child: per level, where every node's edges begin, int32 [nodes + 1].
    """

    def __init__(self, index: ItemIndex, device: torch.device | str = "cpu") -> None:
        self.index = index
        self.device = torch.device(device)
        self.code = [self._tensor(code) for code in index.code]
        self.first_child = [self._tensor(child) for child in index.first_child]
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
