"""The fake engine for HTTP tests."""

import numpy as np
import pytest

from catalog.ids.index import ItemIndex
from catalog.search.guidance import Prior
from server.engine.errors import EngineError, EngineUnavailable
from server.engine.protocol import Engine, RankRequest
from tests.support.fake_engine import FakeEngine


def an_index(leaves=30):
    return ItemIndex.build(np.arange(leaves)[:, None], [leaves])[0]


@pytest.fixture
async def engine():
    fake: Engine = FakeEngine(an_index())
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


async def test_scores_by_level_come_where_they_are_asked_for(engine):
    plain = await engine.rank(RankRequest([1], 5, 5, "a"))
    detailed = await engine.rank(RankRequest([1], 5, 5, "b", by_level=True))
    assert plain.level_scores is None
    assert [sum(score_L) for score_L in detailed.level_scores] == list(detailed.scores) == list(plain.scores)


async def test_denied_leaves_do_not_come_back(engine):
    ranking = await engine.rank(RankRequest([1], 30, 30, "a", tuple(range(25))))
    assert sorted(ranking.leaves) == list(range(25, 30))


async def test_only_what_is_allowed_and_filtered_comes_back(engine):
    await engine.install_filter(0, 1, np.arange(30) % 2 == 0)
    ranking = await engine.rank(RankRequest([1], 30, 30, "a", (4,), (3, 4, 6, 8), filter_id=1))
    assert sorted(ranking.leaves) == [6, 8]
    await engine.retire_filter(0, 1)
    with pytest.raises(EngineError, match="filter 1 is not installed"):
        await engine.rank(RankRequest([1], 30, 30, "a", filter_id=1))


async def test_a_prior_is_joined_with_the_score(engine):
    plain = await engine.rank(RankRequest([1], 30, 30, "a"))
    prior = Prior(np.array([plain.leaves[-1]]), np.array([7], np.float32), model_weight=0.1, static_weight=2)
    static_N = np.zeros(30)
    static_N[plain.leaves[-2]] = 4
    await engine.install_static_prior(0, static_N)
    guided = await engine.rank(RankRequest([1], 3, 30, "a", prior=prior))
    assert guided.leaves == (plain.leaves[-2], plain.leaves[-1], plain.leaves[0])
    assert guided.scores == pytest.approx((8 - 2.9, 7 - 3.0, -0.1))


async def test_indexes_are_kept_apart(engine):
    await engine.install(1, an_index(5))
    assert len((await engine.rank(RankRequest([1], 30, 30, "a", index_id=1))).leaves) == 5
    assert len((await engine.rank(RankRequest([1], 30, 30, "a"))).leaves) == 30
    await engine.retire(1)
    with pytest.raises(EngineError, match="index 1 is not installed"):
        await engine.rank(RankRequest([1], 30, 30, "a", index_id=1))


async def test_unavailable_before_the_start_and_after_the_stop(engine):
    await engine.check()
    await engine.stop()
    for unavailable in (engine, FakeEngine(an_index(3))):
        with pytest.raises(EngineUnavailable, match="not started"):
            await unavailable.check()
        with pytest.raises(EngineUnavailable):
            await unavailable.rank(RankRequest([1], 1, 1, "a"))
