"""The engine for T5 bundles."""

import asyncio
import gc
import threading
import weakref
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import T5Config, T5ForConditionalGeneration

from catalog.ids.index import ItemIndex
from catalog.search.guidance import Prior
from catalog.search.transformers import TransformersRanker
from server.core.settings import EngineSettings
from server.engine.errors import EngineError, EngineUnavailable
from server.engine.protocol import RankRequest
from server.engine.transformers import TransformersEngine


@dataclass
class T5Bundle:
    model_dir: Path
    index_dir: Path
    index: ItemIndex
    level_tokens: list[np.ndarray]
    normalize: str = "codes"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    directory = tmp_path_factory.mktemp("t5")
    torch.manual_seed(0)
    config = T5Config(vocab_size=64, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4, decoder_start_token_id=0)
    T5ForConditionalGeneration(config).save_pretrained(directory)
    paths = np.unique(np.random.default_rng(0).integers(0, 6, (80, 2)), axis=0)
    index, _ = ItemIndex.build(paths, [6, 6])
    return T5Bundle(directory, directory, index, [np.arange(40, 46), np.arange(46, 52)])


@pytest.mark.parametrize(
    ("trained", "setting", "expected"),
    [
        ("codes", "codes", "codes"),
        ("children", "codes", "children"),
        ("codes", "vocabulary", "vocabulary"),
        ("children", "vocabulary", "vocabulary"),
    ],
)
async def test_scores_are_normalised_as_the_bundle_was_trained(bundle, trained, setting, expected):
    engine = TransformersEngine(replace(bundle, normalize=trained), EngineSettings(normalize=setting))
    await engine.start()
    try:
        found = await engine.rank(RankRequest([1, 2, 3], 10, 20, "r"))
    finally:
        await engine.stop()
    model = T5ForConditionalGeneration.from_pretrained(bundle.model_dir).eval()
    ranker = TransformersRanker(model, bundle.index, bundle.level_tokens, normalize=expected)
    ((leaves, scores),) = ranker.rank([[1, 2, 3]], 20)
    assert list(found.leaves) == leaves[:10].tolist()
    assert list(found.scores) == scores[:10].tolist()


async def test_answers_like_the_ranker(bundle):
    engine = TransformersEngine(bundle)
    await engine.start()
    model = T5ForConditionalGeneration.from_pretrained(bundle.model_dir)
    ((leaves, scores),) = TransformersRanker(model, bundle.index, bundle.level_tokens).rank(
        [[1, 2, 3]], 10, deny=[np.array([0, 5])]
    )
    rankings = await asyncio.gather(*(engine.rank(RankRequest([1, 2, 3], 7, 10, str(i), (0, 5))) for i in range(3)))
    for ranking in rankings:
        assert list(ranking.leaves) == leaves[:7].tolist()
        np.testing.assert_allclose(ranking.scores, scores[:7], atol=1e-5)
        assert ranking.level_scores is None
    detailed = await engine.rank(RankRequest([1, 2, 3], 7, 10, "by level", (0, 5), by_level=True))
    assert np.shape(detailed.level_scores) == (7, 2)
    np.testing.assert_allclose(np.sum(detailed.level_scores, 1), detailed.scores, atol=1e-5)
    await engine.stop()


async def test_refuses_what_is_over_a_limit(bundle):
    engine = TransformersEngine(bundle, EngineSettings(max_width=5))
    await engine.start()
    with pytest.raises(EngineError, match="width 6"):
        await engine.rank(RankRequest([1], 6, 6, "r"))
    with pytest.raises(EngineError, match="already started"):
        await engine.start()
    await engine.stop()


async def test_unavailable_unless_started(bundle):
    engine = TransformersEngine(bundle)
    with pytest.raises(EngineUnavailable):
        await engine.rank(RankRequest([1], 1, 1, "r"))
    await engine.start()
    await engine.check()
    await engine.stop()
    with pytest.raises(EngineUnavailable):
        await engine.check()
    await engine.stop()


async def test_a_missing_checkpoint_is_an_engine_error(bundle, tmp_path):
    engine = TransformersEngine(T5Bundle(tmp_path, tmp_path, bundle.index, bundle.level_tokens))
    with pytest.raises(EngineError, match="cannot load"):
        await engine.start()


async def test_indexes_filters_and_allowed_leaves_limit_the_answer(bundle):
    engine = TransformersEngine(bundle)
    await engine.start()
    smaller, _ = ItemIndex.build(bundle.index.paths(np.arange(10)), [6, 6])
    await engine.install(1, smaller)
    await engine.install_filter(1, 1, np.arange(10) < 4)
    limited = await engine.rank(RankRequest([1, 2], 10, 10, "a", (0,), (0, 1, 2, 9), filter_id=1, index_id=1))
    assert sorted(limited.leaves) == [1, 2]
    assert len((await engine.rank(RankRequest([1, 2], 20, 20, "b"))).leaves) == 20
    await engine.retire_filter(1, 1)
    with pytest.raises(EngineError, match="filter 1 is not installed"):
        await engine.rank(RankRequest([1, 2], 10, 10, "c", filter_id=1, index_id=1))
    await engine.retire(1)
    with pytest.raises(EngineError, match="index 1 is not installed"):
        await engine.rank(RankRequest([1, 2], 10, 10, "d", index_id=1))
    with pytest.raises(EngineError, match="mask of shape"):
        await engine.install_filter(0, 1, np.ones(3, bool))
    await engine.stop()


async def test_a_prior_guides_the_search(bundle):
    engine = TransformersEngine(bundle)
    await engine.start()
    alone = await engine.rank(RankRequest([1, 2], 20, 20, "a", by_level=True))
    last, other = alone.leaves[-1], alone.leaves[-2]
    listed = Prior(np.array([last]), np.array([50], np.float32), model_weight=0.5)
    guided = await engine.rank(RankRequest([1, 2], 3, 3, "b", prior=listed, by_level=True))
    assert guided.leaves == (last, *alone.leaves[:2])
    assert guided.scores[0] == pytest.approx(50 + 0.5 * alone.scores[-1], abs=1e-4)
    assert sum(guided.level_scores[0]) == pytest.approx(alone.scores[-1], abs=1e-4)
    popular_N = np.zeros(len(bundle.index))
    popular_N[other] = 100
    await engine.install_static_prior(0, popular_N)
    weighed = Prior(np.array([last]), np.array([50], np.float32), static_weight=1.0)
    assert (await engine.rank(RankRequest([1, 2], 2, 2, "c", prior=weighed))).leaves == (other, last)
    assert (await engine.rank(RankRequest([1, 2], 20, 20, "d", by_level=True))) == alone
    with pytest.raises(EngineError, match="listed leaf 10000 is outside"):
        await engine.rank(RankRequest([1], 2, 2, "e", prior=Prior(np.array([10_000]), np.zeros(1, np.float32))))
    with pytest.raises(EngineError, match="does not fit"):
        await engine.install_static_prior(0, np.zeros(3))
    await engine.stop()


async def test_another_bundle_takes_the_place_of_the_first(bundle, tmp_path):
    torch.manual_seed(5)
    T5ForConditionalGeneration(T5Config.from_pretrained(bundle.model_dir)).save_pretrained(tmp_path)
    smaller, _ = ItemIndex.build(bundle.index.paths(np.arange(8)), [6, 6])
    engine = TransformersEngine(bundle)
    await engine.start()
    before = await engine.rank(RankRequest([1, 2], 8, 8, "a"))
    with pytest.raises(EngineError, match="cannot load"):
        await engine.reload(T5Bundle(tmp_path / "nowhere", tmp_path, smaller, bundle.level_tokens))
    assert await engine.rank(RankRequest([1, 2], 8, 8, "b")) == before
    await engine.reload(T5Bundle(tmp_path, tmp_path, smaller, bundle.level_tokens))
    assert sorted((await engine.rank(RankRequest([1, 2], 20, 20, "c"))).leaves) == list(range(8))
    await engine.stop()


async def test_a_bundle_whose_index_does_not_fit_its_model_leaves_the_old_one(bundle):
    engine = TransformersEngine(bundle)
    await engine.start()
    before = await engine.rank(RankRequest([1, 2], 8, 8, "a"))
    outside = [np.arange(40, 46), np.arange(60, 66)]  # the vocabulary has 64
    with pytest.raises(EngineError, match="vocabulary"):
        await engine.reload(T5Bundle(bundle.model_dir, bundle.index_dir, bundle.index, outside))
    assert await engine.rank(RankRequest([1, 2], 8, 8, "b")) == before
    await engine.install(1, bundle.index)
    assert await engine.rank(RankRequest([1, 2], 8, 8, "c", index_id=1)) == before
    await engine.stop()


async def test_a_model_that_is_replaced_is_freed_without_a_collection(bundle):
    """A server's process does not look through what was loaded."""
    engine = TransformersEngine(bundle)
    await engine.start()
    await engine.rank(RankRequest([1, 2], 8, 8, "a"))
    gone = weakref.ref(engine._model)
    gc.disable()
    try:
        await engine.reload(bundle)
        assert gone() is None
        gone = weakref.ref(engine._model)
        await engine.stop()
        assert gone() is None
    finally:
        gc.enable()


async def test_requests_that_wait_when_it_is_stopped_are_told(bundle, monkeypatch):
    begun, go_on = threading.Event(), threading.Event()

    def rank(*_: object) -> bool:
        begun.set()
        return go_on.wait()

    monkeypatch.setattr("server.engine.transformers._rank", rank)
    engine = TransformersEngine(bundle)
    await engine.start()
    under_way, *waiting = [asyncio.create_task(engine.rank(RankRequest([1, 2], 8, 8, str(n)))) for n in range(8)]
    await asyncio.to_thread(begun.wait)
    stopping = asyncio.create_task(engine.stop())
    try:
        ends = await asyncio.gather(*waiting, return_exceptions=True)
        assert {type(end) for end in ends} == {EngineUnavailable}
    finally:
        go_on.set()  # else the thread would wait for ever, and this process for it
        await stopping
    assert await under_way


async def test_a_model_that_is_loaded_when_it_is_stopped_is_dropped(bundle):
    engine = TransformersEngine(bundle)
    await engine.start()
    loading = asyncio.create_task(engine.reload(bundle))
    await asyncio.sleep(0)
    await engine.stop()
    with pytest.raises(EngineUnavailable):
        await loading
    assert not engine.alive
    with pytest.raises(EngineUnavailable):
        await engine.reload(bundle)
