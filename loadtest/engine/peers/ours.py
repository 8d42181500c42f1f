"""This project's engine: concurrent `rank` calls."""

import asyncio
import itertools
from collections.abc import Sequence

from loadtest.engine.peers.protocol import BLOCK_SIZE, KV_CACHE_BYTES, Limits, Prompt
from loadtest.synthetic.bundle import RandomBundle
from server.core.settings import EngineSettings
from server.engine.protocol import Ranking, RankRequest
from server.engine.vllm.frontend.client import VllmEngine

__all__ = ["Ours"]


class Ours:
    """Implements `Peer` with `VllmEngine`, in an event loop of its own."""

    def __init__(self, bundle: RandomBundle, limits: Limits) -> None:
        self._engine = VllmEngine(
            bundle,
            EngineSettings(
                max_width=limits.width,
                max_prompt_tokens=limits.prompt,
                max_batch_requests=limits.concurrency,
                block_size=BLOCK_SIZE,
                kv_cache_bytes=KV_CACHE_BYTES,
            ),
        )
        self._items = len(bundle.index)
        self._numbers = itertools.count()
        self._loop = asyncio.Runner()

    def start(self) -> None:
        """Start vLLM's process."""
        self._loop.run(self._engine.start())

    def answer(self, prompts: Sequence[Prompt], width: int, concurrency: int) -> list[Ranking]:
        """As many callers as `concurrency`, each with one request at a time."""
        return self._loop.run(self._answer(prompts, width, concurrency))

    async def _answer(self, prompts: Sequence[Prompt], width: int, concurrency: int) -> list[Ranking]:
        waiting = iter(enumerate(prompts))
        answers: dict[int, Ranking] = {}

        async def call() -> None:
            for place, prompt in waiting:
                request = RankRequest(prompt, k=width, width=width, request_id=f"loadtest-{next(self._numbers)}")
                answers[place] = await self._engine.rank(request)

        await asyncio.gather(*(call() for _ in range(concurrency)))
        return [answers[place] for place in range(len(prompts))]

    def leaves(self, answer: Sequence[Ranking]) -> list[list[int]]:
        """Leaves outside the catalog are no items."""
        return [[leaf if 0 <= leaf < self._items else -1 for leaf in ranking.leaves] for ranking in answer]

    def stop(self) -> None:
        """End vLLM's process."""
        self._loop.run(self._engine.stop())
        self._loop.close()
