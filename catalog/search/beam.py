"""Constrained beam search over the item index, for a batch of requests, without the model.

A *row* is one request with its own beam width. At every level the search keeps exactly the best children of a row's
beams by cumulative log-probability, or by the best guided score that they can reach (`catalog/search/guidance.py`), and
the lower leaf of equal ones. A child is *live* if it has a leaf below it that
the row may return; all others are left out. So a search of width W ends with exactly min(W, n) distinct leaves, where n
is the number of leaves that the row may return, however few they are.

Shapes: R rows; B beams of all rows together, row after row; C codes of the level; L levels; k leaves of one row.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from catalog.search.beam_layout import BeamLayout, Beams, layouts_of
from catalog.search.device_index import DeviceIndex
from catalog.search.guidance import Guidance
from catalog.search.restriction import Restriction
from catalog.search.torch_expansion import TorchExpansion

__all__ = ["BeamLayout", "BeamSearch", "Beams", "Ranked"]


class Ranked(NamedTuple):
    """The result of one row: leaves int64 [k], best first, and their scores float32 [k].

    A score is the log-probability, or where the search was guided, `model_weight` times that and g.
    """

    leaves: NDArray[np.int64]
    scores: NDArray[np.float32]


class BeamSearch:
    """One batch of searches. `run` makes all of them; `expand` advances them by one level.

    device_index: the index on the device of the search.
    widths: the beam width of every row.
    restriction: which leaves each row may return; None for all.
    guidance: the prior of each row; None leaves every score to the model.
    over_children: whether the log-probabilities that the model gives are normalised anew over the children of each
        beam. The probabilities of all items of the index then sum to one; a restriction changes none of them.
    compiled: True for the numba expansion, which needs a CPU, False for the torch expansion; by default the faster one
        of the device. Both give the same beams.
    """

    def __init__(
        self,
        device_index: DeviceIndex,
        widths: Sequence[int],
        restriction: Restriction | None = None,
        guidance: Guidance | None = None,
        *,
        over_children: bool = False,
        compiled: bool | None = None,
    ) -> None:
        self._device_index = device_index
        self._guidance = guidance
        self._over_children = over_children
        limit_R = np.asarray(widths, np.int64)
        if restriction is not None:
            limit_R = np.minimum(limit_R, restriction.wanted_R)
        self.layouts = layouts_of(limit_R, device_index.edges, device_index.device)
        """The layout of the beams before the first level and after each."""
        self._trail: list[Beams] = []
        if device_index.device.type == "cpu" if compiled is None else compiled:
            self._expansion: Expansion = _numba_expansion(device_index, restriction, guidance, len(limit_R))
        else:
            self._expansion = TorchExpansion(device_index, restriction, guidance)

    def run(self, logp_RC: Tensor, decode: Callable[[int, Beams], Tensor]) -> list[Ranked]:
        """Search all levels; returns the result of every row.

        logp_RC: log-probability of every code of level 0 after each row's prompt, float32.
        decode: called with a level and its beams; appends the beams' last codes in the model, and returns the
            log-probabilities [B, C] of the codes of the level.
        """
        beams = self.expand(0, self.roots(), logp_RC)
        self._trail = [beams]
        for level in range(1, self._device_index.depth):
            if self.layouts[level].beams == 0:
                break
            beams = self.expand(level, beams, decode(level, beams))
            self._trail.append(beams)
        return self.answer(beams)

    def level_scores(self) -> list[NDArray[np.float32]]:
        """For every row of the last `run`, the log-probability of each code of its leaves, float32 [k, L].

        They sum to the leaf's log-probability, which is its score where nothing guided the search.
        """
        costs: list[Tensor] = []
        beam_B: Tensor | slice = slice(None)
        for beams in reversed(self._trail):  # from the leaves to the roots: the cost of each beam's ancestor
            costs.append(beams.cost_B[beam_B])
            beam_B = beams.parent_B[beam_B].long()
        found = self.layouts[-1]
        if found.beams == 0:
            return [np.empty((0, self._device_index.depth), np.float32)] * found.rows
        cost_LB = torch.stack(costs[::-1]).cpu().numpy()
        score_BL = -np.diff(cost_LB, axis=0, prepend=np.float32(0)).T
        return np.split(score_BL, found.end_R[:-1])

    def roots(self) -> Beams:
        """The beams before the first level: one for every row, at the root."""
        rows, device = self.layouts[0].rows, self._device_index.device
        zero = torch.zeros(rows, dtype=torch.int32, device=device)
        none = torch.zeros(rows, device=device)
        return Beams(none, none, zero, zero, zero)

    def expand(self, level: int, beams: Beams, logp_BC: Tensor) -> Beams:
        """The best live children of `beams`, given the log-probability of every code of the level, float32, <= 0."""
        if self._over_children:
            logp_BC = self._expansion.over_children(level, beams, logp_BC)
        return self._expansion.expand(level, self.layouts[level], self.layouts[level + 1], beams, logp_BC)

    def answer(self, beams: Beams) -> list[Ranked]:
        """The result of every row, given the beams of the last level."""
        leaf_B = beams.node_B.cpu().numpy().astype(np.int64)
        score_B = -beams.priority_B.cpu().numpy()
        if self._guidance is not None:
            score_B += np.repeat(self._guidance.offset_R, self.layouts[-1].beams_R)
        spans = [slice(*span) for span in pairwise((0, *self.layouts[-1].end_R.tolist()))]
        return [Ranked(leaf_B[span], score_B[span]) for span in spans]


class Expansion(Protocol):
    """An implementation of `BeamSearch.expand`."""

    def expand(self, level: int, now: BeamLayout, then: BeamLayout, beams: Beams, logp_BC: Tensor) -> Beams:
        """The best live children of `beams`, whose layout is `now`, in the layout `then`."""

    def over_children(self, level: int, beams: Beams, logp_BC: Tensor) -> Tensor:
        """The log-probabilities normalised over the children of each beam; codes of no child hold anything."""


def _numba_expansion(
    device_index: DeviceIndex, restriction: Restriction | None, guidance: Guidance | None, rows: int
) -> Expansion:
    # imported here, because vLLM's engine process does not start once numba is imported
    from catalog.search.numba_expansion import NumbaExpansion

    return NumbaExpansion(device_index, restriction, guidance, rows)
