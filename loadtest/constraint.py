"""Our own constraint as the benchmarks drive it: the item index and its beam search, without a model.

Every use the benchmarks make of `catalog.search` is in this module.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from catalog.ids.index import ItemIndex
from catalog.search.beam import Beams, BeamSearch, Ranked
from catalog.search.restriction import FilterBitmap, Restriction
from catalog.search.tree import Tree
from loadtest.steps import Step

__all__ = ["IndexConstraint", "Standing"]


@dataclass(frozen=True, slots=True)
class Standing:
    """A search that has come to a level."""

    search: BeamSearch
    level: int
    beams: Beams


class IndexConstraint:
    """The index of some items, ready to search."""

    def __init__(self, index: ItemIndex) -> None:
        self.index = index
        self._tree = Tree(index)

    @classmethod
    def build(cls, codes_NL: NDArray[np.int64], sizes: Sequence[int]) -> "IndexConstraint":
        """From paths in any order."""
        return cls(ItemIndex.build(codes_NL, sizes)[0])

    def stand(self, step: Step) -> Standing:
        """Where the beams of `step` are."""
        search = BeamSearch(self._tree, [step.width] * len(step.leaf_RW))
        node_B = np.searchsorted(self.index.leaf_start(step.level), step.leaf_RW.ravel(), side="right") - 1
        zero_B = torch.zeros(len(node_B), dtype=torch.int32)
        beams = Beams(step.cost_RW.flatten(), torch.from_numpy(node_B.astype(np.int32)), zero_B, zero_B)
        return Standing(search, step.level, beams)

    def step(self, standing: Standing, logp_BC: Tensor) -> Beams:
        """The best children of all requests."""
        return standing.search.expand(standing.level, standing.beams, logp_BC)

    def compile_filter(self, mask_N: NDArray[np.bool_]) -> FilterBitmap:
        """The items a filter lets through, as requests share it."""
        return FilterBitmap(self.index, np.flatnonzero(mask_N))

    def search(self, width: int, chosen: FilterBitmap | None, logp_LBC: Sequence[Tensor]) -> Ranked:
        """A whole search of one request, all that is done for it included; the same log-probabilities for any beams."""
        nothing = np.empty(0, np.int64)
        restriction = None if chosen is None else Restriction(self.index, [nothing], [chosen])
        search = BeamSearch(self._tree, [width], restriction)
        (ranked,) = search.run(logp_LBC[0][:1], lambda level, beams: logp_LBC[level][: len(beams.cost_B)])
        return ranked
