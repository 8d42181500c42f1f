"""The common way to constrain a beam search: nested dictionaries and one Python call for every beam.

Shapes: R requests, W beams of each, C codes, K beams kept, l codes of a prefix.
"""

import sys
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["DictTrie"]

Node = dict[int, Any]


class DictTrie:
    """The computation of `transformers.generate` with such a function.

    It masks all logits of every beam and keeps the best children of all beams.
    """

    def __init__(self, codes_NL: NDArray[np.int64], size: int) -> None:
        self._size = size
        self.root: Node = {}
        for path in codes_NL.tolist():
            node = self.root
            for code in path:
                node = node.setdefault(code, {})

    def allowed(self, prefix: list[int]) -> list[int]:
        """The codes that may follow a prefix, found by a walk from the root, as such functions do."""
        node = self.root
        for code in prefix:
            node = node[code]
        return list(node)

    @property
    def nbytes(self) -> int:
        """Bytes of all dictionaries; the small integers in them are shared and not counted."""
        total, pending = 0, [self.root]
        while pending:
            node = pending.pop()
            total += sys.getsizeof(node)
            pending.extend(node.values())
        return total

    def locate(self, prefix_Bl: NDArray[np.int64]) -> list[list[int]]:
        """The state of beams with these prefixes, for `step`: the prefixes themselves."""
        prefixes: list[list[int]] = prefix_Bl.tolist()
        return prefixes

    def step(self, prefixes: list[list[int]], cost_RW: Tensor, logp_BC: Tensor, keep: int) -> tuple[Tensor, ...]:
        """The costs [R, K] of the best children, their parents among the W, and their codes."""
        mask_BC = torch.full_like(logp_BC, -torch.inf)
        for row, prefix in enumerate(prefixes):
            mask_BC[row, self.allowed(prefix)] = 0
        score_BC = logp_BC + mask_BC - cost_RW.view(-1, 1)
        best = score_BC.view(len(cost_RW), -1).topk(keep)
        return -best.values, best.indices // self._size, best.indices % self._size
