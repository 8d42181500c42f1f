"""A deterministic stand-in for a model, for HTTP tests only."""

import hashlib
import random

from server.engine.errors import EngineUnavailable
from server.engine.protocol import Ranking, RankRequest

__all__ = ["FakeEngine"]


class FakeEngine:
    """Ranks `leaves` items by a permutation that depends on the prompt alone."""

    def __init__(self, leaves: int) -> None:
        self._leaves = leaves
        self._running = False

    async def start(self) -> None:
        """Accept requests from now on."""
        self._running = True

    async def rank(self, request: RankRequest) -> Ranking:
        """The first `k` unexcluded leaves of the prompt's permutation. Raises EngineUnavailable."""
        await self.check()
        digest = hashlib.sha256(" ".join(map(str, request.prompt)).encode()).digest()
        order = list(range(self._leaves))
        random.Random(digest).shuffle(order)
        excluded = set(request.excluded)
        best = [leaf for leaf in order if leaf not in excluded][: request.k]
        return Ranking(tuple(best), tuple(-float(rank) for rank in range(1, len(best) + 1)))

    async def check(self) -> None:
        """Raises EngineUnavailable unless started."""
        if not self._running:
            raise EngineUnavailable("the fake engine is not started: call start() first")

    async def stop(self) -> None:
        """Refuse requests from now on."""
        self._running = False
