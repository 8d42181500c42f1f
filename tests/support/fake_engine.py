"""A deterministic stand-in for a model, for HTTP tests only."""

import hashlib
import random

import numpy as np
from numpy.typing import NDArray

from catalog.ids.index import ItemIndex
from server.engine.errors import EngineUnavailable
from server.engine.installed import Snapshots
from server.engine.protocol import PUBLISHED, RankableBundle, Ranking, RankRequest

__all__ = ["FakeEngine"]


class FakeEngine:
    """Ranks the leaves of `index` by a permutation that depends on the prompt alone."""

    def __init__(self, index: ItemIndex) -> None:
        self._index = index
        self._snapshots = Snapshots()
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
        installed = self._snapshots[request.snapshot]
        leaf_set, leaf_N = installed.leaf_set(request.leaf_set), np.arange(len(installed.index))
        wanted = set((leaf_N if leaf_set is None else leaf_N[leaf_set.members(leaf_N)]).tolist())
        if request.included is not None:
            wanted &= set(request.included)
        wanted -= set(request.excluded)
        digest = hashlib.sha256(" ".join(map(str, request.prompt)).encode()).digest()
        order: list[int] = leaf_N.tolist()
        random.Random(digest).shuffle(order)
        best = [leaf for leaf in order if leaf in wanted][: request.k]
        scores = tuple(-float(rank) for rank in range(1, len(best) + 1))
        depth = installed.index.depth
        return Ranking(
            tuple(best), scores, tuple((score / depth,) * depth for score in scores) if request.by_level else None
        )

    async def install(self, snapshot: int, index: ItemIndex) -> None:
        """Hold this index under a number."""
        await self.check()
        self._snapshots.install(snapshot, index)

    async def retire(self, snapshot: int) -> None:
        """Forget a snapshot and its leaf sets."""
        self._snapshots.retire(snapshot)

    async def install_set(self, snapshot: int, leaf_set: int, member_N: NDArray[np.bool_]) -> None:
        """Hold a set of the snapshot's leaves under a number. Raises EngineError."""
        await self.check()
        self._snapshots.install_set(snapshot, leaf_set, member_N)

    async def retire_set(self, snapshot: int, leaf_set: int) -> None:
        """Forget a leaf set."""
        self._snapshots.retire_set(snapshot, leaf_set)

    async def reload(self, bundle: RankableBundle) -> None:
        """Take another bundle's index; there are no weights."""
        await self.check()
        self._snapshots.clear()
        await self.install(PUBLISHED, bundle.index)

    async def check(self) -> None:
        """Raises EngineUnavailable unless started."""
        if not self._running:
            raise EngineUnavailable("the fake engine is not started: call start() first")

    async def stop(self) -> None:
        """Refuse requests from now on."""
        self._running = False
