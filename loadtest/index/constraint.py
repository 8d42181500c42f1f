"""Our own constraint as the benchmarks use it: the item index and its beam search, without a model.

Everything that this benchmark calls of `catalog.search` is called in this module.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from catalog.ids.index import ItemIndex
from catalog.search.beam import Beams, BeamSearch, Ranked
from catalog.search.device_index import DeviceIndex
from catalog.search.restriction import FilterBitmap, Restriction
from loadtest.index.beam_steps import Step

__all__ = ["IndexConstraint", "SearchState"]


@dataclass(frozen=True, slots=True)
class SearchState:
    """A search that has reached a level."""

    search: BeamSearch
    level: int
    beams: Beams


class IndexConstraint:
    """An item index that is ready to search."""

    def __init__(self, index: ItemIndex) -> None:
        self.index = index
        self._device_index = DeviceIndex(index)

    @classmethod
    def build(cls, codes_NL: NDArray[np.int64], sizes: Sequence[int]) -> "IndexConstraint":
        """Build the index from paths int64 [N, L] in any order."""
        return cls(ItemIndex.build(codes_NL, sizes)[0])

    def locate(self, step: Step) -> SearchState:
        """The state of a search whose beams are those of `step`."""
        search = BeamSearch(self._device_index, [step.width] * len(step.leaf_RW))
        node_B = np.searchsorted(self.index.leaf_start(step.level), step.leaf_RW.ravel(), side="right") - 1
        zero_B = torch.zeros(len(node_B), dtype=torch.int32)
        cost_B = step.cost_RW.flatten()
        beams = Beams(cost_B, cost_B, torch.from_numpy(node_B.astype(np.int32)), zero_B, zero_B)
        return SearchState(search, step.level, beams)

    def step(self, state: SearchState, logp_BC: Tensor) -> Beams:
        """The best children of all requests."""
        return state.search.expand(state.level, state.beams, logp_BC)

    def compile_filter(self, mask_N: NDArray[np.bool_]) -> FilterBitmap:
        """The items that meet a filter, in the form that requests share. mask_N: whether each item meets it."""
        return FilterBitmap(self.index, np.flatnonzero(mask_N))

    def search(self, width: int, chosen: FilterBitmap | None, logp_LBC: Sequence[Tensor]) -> Ranked:
        """A whole search of one request, with everything that is computed for it.

        logp_LBC: log-probabilities of every level's codes, which do not depend on the beams.
        """
        nothing = np.empty(0, np.int64)
        restriction = None if chosen is None else Restriction(self.index, [nothing], [chosen])
        search = BeamSearch(self._device_index, [width], restriction)
        (ranked,) = search.run(logp_LBC[0][:1], lambda level, beams: logp_LBC[level][: len(beams.cost_B)])
        return ranked
