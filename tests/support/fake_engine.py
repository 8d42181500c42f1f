"""A deterministic stand-in for a model, for HTTP tests only."""

import hashlib
import random

import numpy as np
from numpy.typing import NDArray

from catalog.ids.index import ItemIndex
from server.engine.errors import EngineUnavailable
from server.engine.installed_indexes import InstalledIndex, InstalledIndexes
from server.engine.protocol import PUBLISHED, RankableBundle, Ranking, RankRequest

__all__ = ["FakeEngine"]


class FakeEngine:
    """Ranks the leaves of `index` by a permutation that depends on the prompt alone."""

    def __init__(self, index: ItemIndex) -> None:
        self._index = index
        self._installed = InstalledIndexes()
        self._running = False

    @property
    def alive(self) -> bool:
        return self._running

    async def start(self) -> None:
        """Accept requests from now on."""
        self._running = True
        await self.install(PUBLISHED, self._index)

    async def rank(self, request: RankRequest) -> Ranking:
        """The first `k` wanted leaves of the prompt's permutation. Raises EngineError."""
        await self.check()
        installed = self._installed[request.index_id]
        chosen, leaf_N = installed.filter(request.filter_id), np.arange(len(installed.index))
        wanted = set((leaf_N if chosen is None else leaf_N[chosen.members(leaf_N)]).tolist())
        if request.allow is not None:
            wanted &= set(request.allow)
        wanted -= set(request.deny)
        digest = hashlib.sha256(" ".join(map(str, request.prompt)).encode()).digest()
        order: list[int] = leaf_N.tolist()
        random.Random(digest).shuffle(order)
        best = [leaf for leaf in order if leaf in wanted]
        scores = [-float(rank) for rank in range(1, len(best) + 1)]
        depth = installed.index.depth
        ranked = sorted(zip(best, _guided(request, installed, best, scores), scores, strict=True), key=lambda r: -r[1])
        leaves, guided, scores = zip(*ranked[: request.k], strict=True) if ranked else ((), (), ())
        return Ranking(leaves, guided, tuple((s / depth,) * depth for s in scores) if request.by_level else None)

    async def install_static_prior(self, index_id: int, value_N: NDArray[np.floating]) -> None:
        """Hold the static prior of an index. Raises EngineError."""
        await self.check()
        self._installed.install_static_prior(index_id, value_N)

    async def install(self, index_id: int, index: ItemIndex) -> None:
        """Hold this index under a number."""
        await self.check()
        self._installed.install(index_id, index)

    async def retire(self, index_id: int) -> None:
        """Forget an index and its filter bitmaps."""
        self._installed.retire(index_id)

    async def install_filter(self, index_id: int, filter_id: int, member_N: NDArray[np.bool_]) -> None:
        """Hold the leaves of an index that a filter lets through under a number. Raises EngineError."""
        await self.check()
        self._installed.install_filter(index_id, filter_id, member_N)

    async def retire_filter(self, index_id: int, filter_id: int) -> None:
        """Forget a filter bitmap."""
        self._installed.retire_filter(index_id, filter_id)

    async def reload(self, bundle: RankableBundle) -> None:
        """Take another bundle's index; there are no weights."""
        await self.check()
        self._installed.clear()
        await self.install(PUBLISHED, bundle.index)

    async def check(self) -> None:
        """Raises EngineUnavailable unless started."""
        if not self._running:
            raise EngineUnavailable("the fake engine is not started: call start() first")

    async def stop(self) -> None:
        """Refuse requests from now on."""
        self._running = False


def _guided(request: RankRequest, installed: InstalledIndex, leaves: list[int], scores: list[float]) -> list[float]:
    """The scores of leaves, joined with the request's prior where it has one."""
    prior, static = request.prior, installed.static_prior
    if prior is None:
        return scores
    listed = dict(zip(prior.leaves.tolist(), prior.values.tolist(), strict=True))
    static_N = np.zeros(len(installed.index)) if static is None else static.highest[-1]
    others = prior.static_weight * static_N
    return [prior.model_weight * s + listed.get(leaf, others[leaf]) for leaf, s in zip(leaves, scores, strict=True)]
