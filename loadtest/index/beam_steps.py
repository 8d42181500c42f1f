"""Beam search steps to time: beams at real nodes of an index, and random log-probabilities.

Shapes: R requests, W beams of each, B = R · W, C codes of the level, l codes of a prefix.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from catalog.ids.index import ItemIndex

__all__ = ["Step", "draw_logp", "draw_step"]


@dataclass(frozen=True, slots=True)
class Step:
    """One expansion of `level` for R requests with a beam of `width`.

    W is `width`, or the number of nodes of the level if that is less.
    keep: number of best children to find for each request.
    leaf_RW: an item below each beam.
    prefix_Bl: the codes of each beam so far, l = level.
    cost_RW: the beams' negative log-probabilities so far, ascending.
    logp_BC: log-probabilities of the codes of the level.
    """

    level: int
    width: int
    keep: int
    leaf_RW: NDArray[np.int64]
    prefix_Bl: NDArray[np.int64]
    cost_RW: Tensor
    logp_BC: Tensor


def draw_step(index: ItemIndex, level: int, rows: int, width: int, generator: np.random.Generator) -> Step:
    """A random step. The beams of a request are distinct prefixes of random items, so large nodes are likelier."""
    beams = min(width, len(index.leaf_start(level)) - 1)
    leaf_RW = np.stack([_leaves_of_distinct_nodes(index, level, beams, generator) for _ in range(rows)])
    cost_RW = torch.from_numpy(generator.exponential(5.0, leaf_RW.shape).astype(np.float32)).sort(1).values
    return Step(
        level=level,
        width=width,
        keep=min(width, len(index.code[level])),
        leaf_RW=leaf_RW,
        prefix_Bl=index.paths(leaf_RW.ravel())[:, :level],
        cost_RW=cost_RW,
        logp_BC=draw_logp(leaf_RW.size, index.sizes[level], generator),
    )


def draw_logp(beams: int, codes: int, generator: np.random.Generator) -> Tensor:
    """Log-probabilities float32 [B, C] of normally distributed logits, about as peaked as a trained model's."""
    return torch.log_softmax(torch.from_numpy(2 * generator.standard_normal((beams, codes), np.float32)), -1)


def _leaves_of_distinct_nodes(
    index: ItemIndex, level: int, beams: int, generator: np.random.Generator
) -> NDArray[np.int64]:
    start = index.leaf_start(level)
    leaf, draws = np.empty(0, np.int64), beams
    while len(leaf) < beams:
        draws *= 4
        drawn = generator.integers(0, index.leaves, draws)
        node = np.searchsorted(start, drawn, side="right") - 1
        leaf = drawn[np.sort(np.unique(node, return_index=True)[1])]  # the first drawn of every node, as drawn
    return leaf[:beams]
