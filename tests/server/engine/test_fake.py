"""The fake engine for HTTP tests."""

import pytest

from server.engine.errors import EngineUnavailable
from server.engine.fake import FakeEngine
from server.engine.protocol import Engine, RankRequest


@pytest.fixture
async def engine():
    fake: Engine = FakeEngine(30)
    await fake.start()
    return fake


async def test_the_prompt_decides_the_order(engine):
    first = await engine.rank(RankRequest([1, 2], 30, 30, "a"))
    again = await engine.rank(RankRequest([1, 2], 10, 30, "b"))
    other = await engine.rank(RankRequest([12], 30, 30, "c"))
    assert sorted(first.leaves) == list(range(30))
    assert again.leaves == first.leaves[:10]
    assert other.leaves != first.leaves
    assert list(first.scores) == sorted(first.scores, reverse=True)


async def test_excluded_leaves_do_not_come_back(engine):
    ranking = await engine.rank(RankRequest([1], 30, 30, "a", tuple(range(25))))
    assert sorted(ranking.leaves) == list(range(25, 30))


async def test_unavailable_before_the_start_and_after_the_stop(engine):
    await engine.check()
    await engine.stop()
    for unavailable in (engine, FakeEngine(3)):
        with pytest.raises(EngineUnavailable, match="not started"):
            await unavailable.check()
        with pytest.raises(EngineUnavailable):
            await unavailable.rank(RankRequest([1], 1, 1, "a"))
