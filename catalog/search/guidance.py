"""Guidance of a search: a prior over items, which joins the model's score and steers the beams towards its items.

The score of a leaf is `model_weight` · log p(leaf) + g(leaf), where g is the prior. A beam is ranked by the best score
that it can still reach: what the model has said so far, and the greatest g of the leaves below it. As log-probabilities
only fall, that is an upper bound of every score below, so a search as wide as the catalog finds the best leaves exactly
(planning ahead in generative retrieval: Zeng, Luo and Zamani, SIGIR 2024, arXiv 2404.14600).

g is a *static* part, one number for each leaf of the catalog, and a value of its own for some hundred *listed* leaves.
The leaves of a node are an interval, so the greatest g below it is a maximum over the listed leaves in that interval,
and a number that is kept with every edge for the others.

Shapes: N items; R rows; e edges of a level; P listed leaves of all rows together, or the edges above them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from catalog.errors import ItemIndexError
from catalog.ids.index import ItemIndex
from catalog.search.restriction import Restriction, check_leaves

__all__ = ["NO_PRIOR", "Guidance", "LevelBounds", "Prior", "StaticPrior"]

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Prior:
    """The prior of one row.

    leaves: the listed leaves, int64 [n], strictly increasing.
    values: g of each of them, the static part included, finite float32 [n].
    model_weight: what the model's log-probability is multiplied by, at least 0.
    static_weight: what the static prior is multiplied by to give g of the leaves that are not listed.

    Raises ItemIndexError for leaves out of order, and for numbers that are not finite.
    """

    leaves: NDArray[np.int64]
    values: Floats
    model_weight: float = 1.0
    static_weight: float = 0.0

    def __post_init__(self) -> None:
        if self.leaves.ndim != 1 or (self.leaves[1:] <= self.leaves[:-1]).any():
            raise ItemIndexError("listed leaves must be strictly increasing: sort them and drop repeats")
        if self.values.shape != self.leaves.shape or not np.isfinite(self.values).all():
            raise ItemIndexError("a prior needs one finite value for each of its leaves")
        weights = (self.model_weight, self.static_weight)
        if not all(map(math.isfinite, weights)) or self.model_weight < 0:
            raise ItemIndexError(f"weights of {weights}: they must be finite, and the model's at least 0")


NOTHING = np.empty(0, np.float32)
NO_PRIOR = Prior(np.empty(0, np.int64), np.empty(0, np.float32))
"""Leaves the score to the model."""


class StaticPrior:
    """The static prior of a catalog, with its extremes below every edge.

    highest, lowest: for every level, the greatest and the smallest value below each edge, float32 [e].
    top, bottom: the greatest and the smallest of all.
    """

    def __init__(self, index: ItemIndex, value_N: NDArray[np.floating]) -> None:
        """Raises ItemIndexError for values of another number of leaves, or that are not finite."""
        if value_N.shape != (len(index),):
            raise ItemIndexError(f"a prior of shape {value_N.shape} does not fit the {len(index)} leaves of the index")
        if not np.isfinite(value_N).all():
            raise ItemIndexError("the static prior has values that are not finite numbers")
        value = value_N.astype(np.float32)
        starts = [index.leaf_start(level + 1)[:-1] for level in range(index.depth)]
        self.highest = [np.maximum.reduceat(value, start) for start in starts]
        self.lowest = [np.minimum.reduceat(value, start) for start in starts]
        self.top, self.bottom = self.highest[0].max(), self.lowest[0].min()


@dataclass(frozen=True, slots=True, eq=False)
class LevelBounds:
    """The greatest g below edges of one level that have listed leaves below them.

    edge_P: the edges, int64, those of a row after those of the row before, ascending within a row.
    node_P: the node that each leaves from, int64.
    bound_P: the greatest g below each, float32.
    row_P: the row of each, int64.
    end_R: the end of every row's edges, int64.
    """

    edge_P: NDArray[np.int64]
    node_P: NDArray[np.int64]
    bound_P: Floats
    row_P: NDArray[np.int64]
    end_R: NDArray[np.int64]


class Guidance:
    """The priors of the rows of one batch.

    static: the static prior of the index; None for zero everywhere.
    restriction: the leaves that each row may return; others have no part in the bounds of listed leaves.

    weight_R, static_weight_R: of every row's prior, float32.
    offset_R: what no g of a row exceeds, float32.
    levels: the bounds at every level.

    Raises ItemIndexError for listed leaves out of range.
    """

    def __init__(
        self,
        index: ItemIndex,
        priors: Sequence[Prior],
        static: StaticPrior | None = None,
        restriction: Restriction | None = None,
    ) -> None:
        for prior in priors:
            check_leaves(prior.leaves, index, "listed")
        self.static = static
        self.weight_R = np.array([prior.model_weight for prior in priors], np.float32)
        self.static_weight_R = np.array([prior.static_weight if static else 0.0 for prior in priors], np.float32)
        wanted = [_wanted(prior, row, restriction) for row, prior in enumerate(priors)]
        leaf_P = np.concatenate([prior.leaves[kept] for prior, kept in zip(priors, wanted, strict=True)])
        value_P = np.concatenate([prior.values[kept] for prior, kept in zip(priors, wanted, strict=True)])
        end_R = np.cumsum([int(kept.sum()) for kept in wanted])
        self.levels, most_R = self._bounds(index, end_R, leaf_P, value_P.astype(np.float32))
        self.offset_R = self._offsets(most_R)

    def _bounds(
        self, index: ItemIndex, leaf_end_R: NDArray[np.int64], leaf_P: NDArray[np.int64], value_P: Floats
    ) -> tuple[list[LevelBounds], Floats]:
        """The bounds at every level, and the greatest at the first of every row."""
        from catalog.search.guidance_bounds import bounds_of_level  # it loads numba, which not every search needs

        bounds, most_RL = [], []
        node_P = np.zeros_like(leaf_P)
        for level in range(index.depth):
            extremes = (NOTHING, NOTHING)
            if self.static is not None:
                extremes = self.static.highest[level], self.static.lowest[level]
            node_P, edge, node, bound, row, end_R, most_R = bounds_of_level(
                index.leaf_start(level + 1), node_P, leaf_P, value_P, leaf_end_R, self.static_weight_R, *extremes
            )
            bounds.append(LevelBounds(edge, node, bound, row, end_R))
            most_RL.append(most_R)
        return bounds, most_RL[0]

    def _offsets(self, most_R: Floats) -> Floats:
        if self.static is None:
            return np.maximum(most_R, np.float32(0))
        weight_R, top, bottom = self.static_weight_R, self.static.top, self.static.bottom
        return np.maximum(most_R, np.asarray(weight_R * np.where(weight_R >= 0, top, bottom), np.float32))


def _wanted(prior: Prior, row: int, restriction: Restriction | None) -> NDArray[np.bool_]:
    """Which listed leaves the row may return."""
    if restriction is None:
        return np.ones(len(prior.leaves), bool)
    return restriction.members(row, prior.leaves)
