"""Constrained beam search over the item index, without a model.

A *row* is one request; each has its own beam width. At every level the legal, living children of a row's beams
are gathered, and the best of their cumulative scores are kept: exactly the best, ties going to the lower leaf.
Because only nodes with a wanted leaf below them are living, a search of width W ends with exactly
min(W, wanted leaves) distinct leaves, however few are wanted.

Shapes: R rows; B beams of all rows together, row after row; C codes of the level.
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
from catalog.search.restriction import Restriction
from catalog.search.torch_expansion import TorchExpansion

__all__ = ["BeamLayout", "BeamSearch", "Beams", "Ranked"]


class Ranked(NamedTuple):
    """The answer of one row: leaves int64 [k], best first, and their log-probabilities float32 [k]."""

    leaves: NDArray[np.int64]
    scores: NDArray[np.float32]


class BeamSearch:
    """One batch of searches, advanced a level at a time by `expand`.

    compiled: expand with compiled loops (CPU only) or with tensor operations; by default what is faster on the device.
    Both give the same beams.
    """

    def __init__(
        self,
        device_index: DeviceIndex,
        widths: Sequence[int],
        restriction: Restriction | None = None,
        *,
        compiled: bool | None = None,
    ) -> None:
        self._device_index = device_index
        limit_R = np.asarray(widths, np.int64)
        if restriction is not None:
            limit_R = np.minimum(limit_R, restriction.wanted_R)
        self.layouts = layouts_of(limit_R, device_index.edges, device_index.device)
        """Level l expands the beams of layout l into those of layout l + 1."""
        self._trail: list[Beams] = []
        if device_index.device.type == "cpu" if compiled is None else compiled:
            self._expansion: Expansion = _compiled(device_index, restriction, len(limit_R))
        else:
            self._expansion = TorchExpansion(device_index, restriction)

    def run(self, logp_RC: Tensor, decode: Callable[[int, Beams], Tensor]) -> list[Ranked]:
        """Search all levels.

        logp_RC: log-probability of every code of level 0 after each row's prompt, float32.
        decode(level, beams): append the last code of `beams`; the log-probabilities [B, C] of codes of `level`.
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
        """Of what `run` found last: for each row, the log-probability of every code of its leaves, float32 [k, L].

        Those of a leaf sum to its score.
        """
        costs: list[Tensor] = []
        beam_B: Tensor | slice = slice(None)
        for beams in reversed(self._trail):  # from the leaves to the roots: what a beam cost when it was this far
            costs.append(beams.cost_B[beam_B])
            beam_B = beams.parent_B[beam_B].long()
        found = self.layouts[-1]
        if found.beams == 0:
            return [np.empty((0, self._device_index.depth), np.float32)] * found.rows
        cost_LB = torch.stack(costs[::-1]).cpu().numpy()
        score_BL = -np.diff(cost_LB, axis=0, prepend=np.float32(0)).T
        return np.split(score_BL, found.end_R[:-1])

    def roots(self) -> Beams:
        """One beam a row, at the root."""
        rows, device = self.layouts[0].rows, self._device_index.device
        zero = torch.zeros(rows, dtype=torch.int32, device=device)
        return Beams(torch.zeros(rows, device=device), zero, zero, zero)

    def expand(self, level: int, beams: Beams, logp_BC: Tensor) -> Beams:
        """The best living children of `beams`, given the log-probability of every code of `level`, float32, <= 0."""
        return self._expansion.expand(level, self.layouts[level], self.layouts[level + 1], beams, logp_BC)

    def answer(self, beams: Beams) -> list[Ranked]:
        """What each row found, given the beams of the last level."""
        leaf_B = beams.node_B.cpu().numpy().astype(np.int64)
        score_B = -beams.cost_B.cpu().numpy()
        spans = [slice(*span) for span in pairwise((0, *self.layouts[-1].end_R.tolist()))]
        return [Ranked(leaf_B[span], score_B[span]) for span in spans]


class Expansion(Protocol):
    """One way to advance all beams of a batch by a level."""

    def expand(self, level: int, now: BeamLayout, then: BeamLayout, beams: Beams, logp_BC: Tensor) -> Beams:
        """See `BeamSearch.expand`."""


def _compiled(device_index: DeviceIndex, restriction: Restriction | None, rows: int) -> Expansion:
    # imported late: vLLM's engine process does not start where numba's compiler is loaded already
    from catalog.search.numba_expansion import NumbaExpansion

    return NumbaExpansion(device_index, restriction, rows)
