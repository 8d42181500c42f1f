"""Thousands of random requests, some given up, while indexes and filter bitmaps come and go."""

import asyncio
import random

import numpy as np
import pytest

from catalog.ids.index import ItemIndex
from server.core.settings import EngineSettings
from server.engine.vllm.frontend.client import VllmEngine
from tests.integration.rankings import request, words

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.large, pytest.mark.asyncio(loop_scope="session")]

REQUESTS = 3000
USERS = 24


@pytest.mark.timeout(900)
async def test_no_crash_no_leak_no_invalid_and_no_repeated_item(small_bundle):
    settings = EngineSettings(max_width=512, max_prompt_tokens=700, max_batch_tokens=512, kv_cache_bytes=1 << 28)
    engine = VllmEngine(small_bundle, settings)
    await engine.start()
    soak = Soak(engine, small_bundle.index)
    await soak.install()
    await asyncio.gather(*(soak.user(seed) for seed in range(USERS)))
    statistics = await engine.statistics()
    assert soak.answered + soak.given_up == REQUESTS
    assert soak.given_up > 100
    assert statistics["scratch_peak"] <= settings.scratch_blocks
    assert statistics["indexes"] == 2
    await engine.reload(small_bundle)  # refuses if a single block is still in use
    await engine.stop()


class Soak:
    """Random requests and what their answers must be."""

    def __init__(self, engine, index):
        self._engine = engine
        half, _ = ItemIndex.build(index.paths(np.arange(0, len(index), 2)), index.sizes)
        self._indexes = {0: index, 1: half}
        self._sets = {}
        self._left = REQUESTS
        self.answered = self.given_up = 0

    async def install(self):
        await self._engine.install(1, self._indexes[1])
        for snapshot, index in self._indexes.items():
            for number, share in enumerate((1.0, 0.3, 0.01, 0.0)):
                member_N = np.random.default_rng([snapshot, number]).random(len(index)) < share
                self._sets[snapshot, number] = np.flatnonzero(member_N)
                await self._engine.install_filter(snapshot, number, member_N)

    async def user(self, seed):
        generator = np.random.default_rng(seed)
        while self._left > 0:
            self._left -= 1
            await self._ask(generator)

    async def _ask(self, generator):
        snapshot = int(generator.integers(0, 2))
        leaves = len(self._indexes[snapshot])
        width = int(generator.choice([1, 5, 50, 128, 512], p=[0.2, 0.3, 0.3, 0.15, 0.05]))
        k = int(generator.integers(1, width + 1))
        listed = np.sort(generator.choice(leaves, int(generator.choice([0, 3, 300, leaves - 20])), replace=False))
        limits = {"deny": listed.tolist()} if generator.random() < 0.6 else {"allow": listed.tolist()}
        filter_id = random.Random(int(generator.integers(1 << 30))).choice([None, 0, 1, 2, 3])
        prompt = words(int(generator.integers(1 << 30)), int(generator.integers(1, 700)))
        task = asyncio.create_task(
            self._engine.rank(request(prompt, width, k=k, index_id=snapshot, filter_id=filter_id, **limits))
        )
        if generator.random() < 0.1:
            await asyncio.sleep(generator.random() * 0.05)
            task.cancel()
        try:
            ranking = await task
        except asyncio.CancelledError:
            self.given_up += 1
            return
        wanted = np.arange(leaves) if filter_id is None else self._sets[snapshot, filter_id]
        wanted = np.setdiff1d(wanted, listed) if "deny" in limits else np.intersect1d(wanted, listed)
        assert len(set(ranking.leaves)) == len(ranking.leaves) == min(k, len(wanted))
        assert set(ranking.leaves) <= set(wanted.tolist())
        assert list(ranking.scores) == sorted(ranking.scores, reverse=True)
        self.answered += 1
