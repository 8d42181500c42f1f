"""The prior of one bundle's catalog while it serves: what guides the search for a question.

The priors know items by their rows in the bundle, whose leaves move when items are inserted. Items that are newer than
the bundle have no row, so nothing but the model speaks for them.

Shapes: N items of the bundle, M of a snapshot, H items of a history.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from catalog.bundle.bundle import Bundle
from catalog.ids.index import ItemIndex
from catalog.priors.priors import Priors
from catalog.priors.weights import PriorWeights, prior_of
from catalog.search.guidance import Prior
from catalog.text.prompts import Task
from server.engine.protocol import Engine

__all__ = ["PriorSource", "leaves_of_paths"]


KEPT = 3
"""Indexes that were searched before the newest, whose requests may still be under way."""


class PriorSource:
    """Makes priors in a thread. The sources are loaded, and the static prior is installed, when first asked for."""

    def __init__(self, bundle: Bundle, engine: Engine) -> None:
        self._bundle = bundle
        self._engine = engine
        self._loading = asyncio.Lock()
        self._loaded: tuple[Priors, Mapping[Task, PriorWeights]] | None = None
        self._leaves: dict[int, NDArray[np.int64]] = {}  # of the bundle's rows, by the number of the installed index

    async def prior(
        self, task: Task, text: str | None, history: Sequence[int], index: ItemIndex, installed: int
    ) -> Prior:
        """What guides the search for one question.

        text: what was typed; None for a recommendation.
        history: leaves of the history, oldest first.
        index, installed: the index that is searched, and the number under which the engine holds it.

        Raises PriorsError, EngineError.
        """
        priors, weights = self._loaded or await self._load()
        leaf_N = self._leaves.get(installed)
        if leaf_N is None:
            leaf_N = await self._install(priors, index, installed)
        return await asyncio.to_thread(_prior, priors, weights[task], text, history, leaf_N)

    def forget(self) -> None:
        """Install again what the engine holds, which has forgotten it."""
        self._leaves.clear()

    async def _load(self) -> tuple[Priors, Mapping[Task, PriorWeights]]:
        async with self._loading:
            if self._loaded is None:
                priors = await asyncio.to_thread(getattr, self._bundle, "priors")
                self._loaded = priors, self._bundle.prior_weights
            return self._loaded

    async def _install(self, priors: Priors, index: ItemIndex, installed: int) -> NDArray[np.int64]:
        async with self._loading:
            if installed not in self._leaves:
                leaf_N = await asyncio.to_thread(leaves_of_paths, index, self._bundle.codes_NL)
                popularity_M = np.zeros(len(index), np.float32)
                popularity_M[leaf_N] = priors.popularity_N
                await self._engine.install_static_prior(installed, popularity_M)
                self._leaves = {installed: leaf_N, **dict(list(self._leaves.items())[:KEPT])}
            return self._leaves[installed]


def leaves_of_paths(index: ItemIndex, codes_NL: NDArray[np.integer]) -> NDArray[np.int64]:
    """The leaf of every path, int64 [N]. All of them must be in the index."""
    low_N, high_N = np.zeros(len(codes_NL), np.int64), np.ones(len(codes_NL), np.int64)
    for level in range(index.depth):
        node_N = low_N
        low_N, high_N = (index.first_child[level][node_N + more].astype(np.int64) for more in (0, 1))
        low_N = _find(index.code[level], low_N, high_N, codes_NL[:, level])
    return low_N


def _find(
    code: NDArray[np.integer], low_N: NDArray[np.int64], high_N: NDArray[np.int64], wanted_N: NDArray[np.integer]
) -> NDArray[np.int64]:
    """The first edge in [low, high) whose code is not below the wanted one, by one binary search for all."""
    while (low_N < high_N).any():
        middle_N = (low_N + high_N) >> 1
        below_N = (low_N < high_N) & (code[np.minimum(middle_N, len(code) - 1)] < wanted_N)
        low_N, high_N = np.where(below_N, middle_N + 1, low_N), np.where(below_N, high_N, np.minimum(high_N, middle_N))
    return low_N


def _prior(
    priors: Priors, weights: PriorWeights, text: str | None, history: Sequence[int], leaf_N: NDArray[np.int64]
) -> Prior:
    leaf_H = np.array(history, np.int64)
    row_H = np.searchsorted(leaf_N, leaf_H).clip(max=len(leaf_N) - 1)
    known_H = row_H[leaf_N[row_H] == leaf_H]
    prior = prior_of(priors.candidates(text, known_H), weights)
    return Prior(leaf_N[prior.leaves], prior.values, prior.model_weight, prior.static_weight)
