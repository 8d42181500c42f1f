"""The engine for T5 bundles."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import T5Config, T5ForConditionalGeneration

from catalog.index import ItemIndex
from catalog.search.transformers import TransformersRanker
from server.engine.errors import EngineError, EngineUnavailable
from server.engine.protocol import RankRequest
from server.engine.settings import EngineSettings
from server.engine.transformers import TransformersEngine


@dataclass
class T5Bundle:
    model_dir: Path
    index_dir: Path
    index: ItemIndex
    level_tokens: list[np.ndarray]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    directory = tmp_path_factory.mktemp("t5")
    torch.manual_seed(0)
    config = T5Config(vocab_size=64, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4, decoder_start_token_id=0)
    T5ForConditionalGeneration(config).save_pretrained(directory)
    paths = np.unique(np.random.default_rng(0).integers(0, 6, (80, 2)), axis=0)
    index, _ = ItemIndex.build(paths, [6, 6])
    return T5Bundle(directory, directory, index, [np.arange(40, 46), np.arange(46, 52)])


async def test_answers_like_the_ranker(bundle):
    engine = TransformersEngine(bundle)
    await engine.start()
    model = T5ForConditionalGeneration.from_pretrained(bundle.model_dir)
    ((leaves, scores),) = TransformersRanker(model, bundle.index, bundle.level_tokens).rank(
        [[1, 2, 3]], 10, excluded=[np.array([0, 5])]
    )
    rankings = await asyncio.gather(*(engine.rank(RankRequest([1, 2, 3], 7, 10, str(i), (0, 5))) for i in range(3)))
    for ranking in rankings:
        assert list(ranking.leaves) == leaves[:7].tolist()
        np.testing.assert_allclose(ranking.scores, scores[:7], atol=1e-5)
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
