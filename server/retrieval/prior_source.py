"""The prior of one bundle's catalog while it serves: what guides the search for a question.

The priors know items by their rows in the bundle, whose leaves move when items are inserted. Items that are newer than
the bundle have no row, so nothing but the model speaks for them.

Shapes: N items of the bundle, M of a snapshot, H items of a history.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from catalog.bundle.bundle import Bundle
from catalog.errors import PriorsError
from catalog.ids.index import ItemIndex
from catalog.priors.priors import Priors
from catalog.priors.weights import PriorWeights, prior_of
from catalog.search.guidance import Prior
from catalog.text.prompts import TASKS, Task
from server.engine.protocol import Engine

__all__ = ["PriorSource", "leaves_of_paths"]


THREADS = 2
"""More would take the interpreter's lock in turns; with one, a prior that hangs would keep all others waiting."""


class PriorSource:
    """Makes priors in threads of its own, so that slow ones keep nothing else waiting.

    exists: False for a bundle that was published without priors; nothing is asked of it.
    """

    def __init__(self, bundle: Bundle, engine: Engine) -> None:
        self.exists = bundle.has_priors
        self._bundle = bundle
        self._engine = engine
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="prior")
        self._loaded: tuple[Priors, Mapping[Task, PriorWeights]] | None = None

    async def load(self) -> None:
        """Read what the bundle has, and ask it once: the first question is slower than others. Raises PriorsError."""
        if self.exists:
            self._loaded = await asyncio.to_thread(_opened, self._bundle)

    async def install(self, index: ItemIndex, installed: int) -> NDArray[np.int64] | None:
        """Have the engine hold the static prior of an index that it holds under this number.

        Returns the leaf of each of the bundle's rows in it, int64 [N]; None where there is no prior.
        Raises PriorsError, EngineError.
        """
        if not self.exists:
            return None
        priors, _ = await self._sources()
        leaf_N = await asyncio.to_thread(leaves_of_paths, index, self._bundle.codes_NL)
        popularity_M = np.zeros(len(index), np.float32)
        popularity_M[leaf_N] = priors.popularity_N
        await self._engine.install_static_prior(installed, popularity_M)
        return leaf_N

    async def prior(self, task: Task, text: str | None, history: Sequence[int], leaf_N: NDArray[np.int64]) -> Prior:
        """What guides the search for one question. One that is cancelled before a thread takes it up costs nothing.

        text: what was typed; None for a recommendation.
        history: leaves of the history, oldest first.
        leaf_N: of the index that is searched, as `install` gave it.

        Raises PriorsError, and whatever a damaged source raises.
        """
        priors, weights = await self._sources()
        run = asyncio.get_running_loop().run_in_executor
        return await run(self._threads, _prior, priors, weights[task], text, history, leaf_N)

    def close(self) -> None:
        """Take up nothing more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _sources(self) -> tuple[Priors, Mapping[Task, PriorWeights]]:
        if self._loaded is None:
            await self.load()
        assert self._loaded is not None, "it exists"
        return self._loaded


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


def _opened(bundle: Bundle) -> tuple[Priors, Mapping[Task, PriorWeights]]:
    priors, weights = bundle.priors, bundle.prior_weights
    title = bundle.items.title(0)
    try:
        for task in TASKS:
            _prior(priors, weights[task], title if task == "search" else None, [0], np.arange(len(bundle.items)))
    except Exception as error:
        raise PriorsError(f"the priors of {bundle.version} cannot be asked: {error!r}; publish it again") from error
    return priors, weights


def _prior(
    priors: Priors, weights: PriorWeights, text: str | None, history: Sequence[int], leaf_N: NDArray[np.int64]
) -> Prior:
    leaf_H = np.array(history, np.int64)
    row_H = np.searchsorted(leaf_N, leaf_H).clip(max=len(leaf_N) - 1)
    known_H = row_H[leaf_N[row_H] == leaf_H]
    prior = prior_of(priors.candidates(text, known_H), weights)
    return Prior(leaf_N[prior.leaves], prior.values, prior.model_weight, prior.static_weight)
