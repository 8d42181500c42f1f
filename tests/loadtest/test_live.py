"""The measurement of catalog changes, on the fake engine, whose times mean nothing."""

import asyncio
import math

import pytest

from catalog.ids.index import ItemIndex
from loadtest import live
from loadtest.synthetic.bundle import RandomBundle, Shape
from loadtest.synthetic.codes import uniform_codes
from server.engine.protocol import Ranking, RankRequest
from tests.support.fake_engine import FakeEngine

SHAPE = Shape(words=63, size=16, items=200)


class PatientEngine(FakeEngine):
    """Lets other tasks run before it answers, as an engine in another process does."""

    async def rank(self, request: RankRequest) -> Ranking:
        await asyncio.sleep(0.001)
        return await super().rank(request)


async def test_every_kind_of_change_is_measured(tmp_path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(live, "QUIET_SECONDS", 0.05)
    index, _ = ItemIndex.build(uniform_codes(SHAPE.items, SHAPE.depth, SHAPE.size, seed=0), [SHAPE.size] * SHAPE.depth)
    bundle = RandomBundle(tmp_path, tmp_path, index, level_tokens=[])
    engine = PatientEngine(bundle.index)
    await engine.start()
    figures = await live.measure_changes(engine, bundle, SHAPE, turns=2, seed=0)
    assert {f"{kind}_s" for kind in ("insert", "replace", "delete")} < figures.keys()
    assert all(math.isfinite(value) and value > 0 for value in figures.values())
