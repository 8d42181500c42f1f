"""The vLLM engine with other decoders, heads, identifiers and normalisations than test_engine.py's."""

import asyncio
import gc
import itertools

import numpy as np
import psutil
import pytest
import torch

from catalog.search.transformers import TransformersRanker
from server.core.settings import EngineSettings
from server.engine.errors import EngineError
from server.engine.protocol import RankRequest
from server.engine.vllm.frontend.client import VllmEngine

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.large, pytest.mark.asyncio(loop_scope="session")]

numbers = itertools.count()


def llama_untied():
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=512,
            hidden_size=64,
            intermediate_size=96,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
            max_position_embeddings=512,
            tie_word_embeddings=False,
            initializer_range=0.3,
        )
    )


def qwen3():
    from transformers import Qwen3Config, Qwen3ForCausalLM

    return Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=512,
            hidden_size=64,
            intermediate_size=96,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=32,
            max_position_embeddings=512,
            tie_word_embeddings=True,
            initializer_range=0.3,
        )
    )


def engine_processes():
    return {child.pid for child in psutil.Process().children(recursive=True) if "EngineCore" in child.name()}


async def agree(bundle, settings, widths=(1, 30)):
    """Assert that an engine over `bundle` ranks like transformers in float32."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(bundle.model_dir, dtype=torch.float32)
    ranker = TransformersRanker(model, bundle.index, bundle.level_tokens, normalize=settings.normalize)
    engine = VllmEngine(bundle, settings)
    await engine.start()
    try:
        prompts = [np.random.default_rng(i).integers(0, bundle.words, 20 + 25 * i).tolist() for i in range(6)]
        for width in widths:
            rankings = await asyncio.gather(
                *(engine.rank(RankRequest(prompt, width, width, f"model-{next(numbers)}")) for prompt in prompts)
            )
            for ranking, (leaves, scores) in zip(rankings, ranker.rank(prompts, width), strict=True):
                np.testing.assert_allclose(ranking.scores, scores, atol=1e-4)
                assert list(ranking.leaves) == leaves.tolist()
        with pytest.raises(EngineError, match="this engine takes"):
            await engine.rank(RankRequest([1] * 513, 1, 1, "too long"))
    finally:
        await engine.stop()


SETTINGS = EngineSettings(max_width=60, kv_cache_bytes=1 << 27)


async def test_an_untied_head_normalised_over_the_vocabulary(new_bundle):
    torch.manual_seed(0)
    bundle = new_bundle(llama_untied())
    await agree(bundle, SETTINGS.model_copy(update={"normalize": "vocabulary"}))


async def test_qwen3_with_longer_identifiers(new_bundle):
    torch.manual_seed(0)
    await agree(new_bundle(qwen3(), sizes=(5, 9, 3, 8, 4)), SETTINGS)


async def test_atomic_identifiers_never_decode(new_bundle):
    torch.manual_seed(0)
    await agree(new_bundle(qwen3(), sizes=(100,)), SETTINGS, widths=(1, 30))


async def test_two_workers_share_the_weights(new_bundle):
    torch.manual_seed(0)
    bundle = new_bundle(llama_untied())
    await agree(bundle, SETTINGS.model_copy(update={"tensor_parallel": 2, "normalize": "vocabulary"}))


async def test_half_precision_finds_nearly_the_same(new_bundle):
    torch.manual_seed(0)
    model = qwen3()
    bundle = new_bundle(model.to(torch.bfloat16))
    ranker = TransformersRanker(model.float(), bundle.index, bundle.level_tokens)
    engine = VllmEngine(bundle, SETTINGS)
    await engine.start()
    try:
        prompt = list(range(50))
        ranking = await engine.rank(RankRequest(prompt, 50, 50, "half"))
    finally:
        await engine.stop()
    assert len(set(ranking.leaves)) == 50
    assert len(set(ranking.leaves) & set(ranker.rank([prompt], 50)[0].leaves.tolist())) >= 40


@pytest.mark.filterwarnings("ignore:Unclosed context:ResourceWarning")  # vLLM's, when it fails to start
async def test_a_cache_too_small_for_beams_and_prompt_is_refused(new_bundle):
    torch.manual_seed(0)
    before = engine_processes()
    with pytest.raises(EngineError, match="cannot serve"):
        await VllmEngine(new_bundle(qwen3()), EngineSettings(max_width=200, kv_cache_bytes=1 << 23)).start()
    assert engine_processes() == before
    gc.collect()


async def test_items_of_another_model_are_refused(new_bundle):
    torch.manual_seed(0)
    bundle = new_bundle(qwen3(), sizes=(100, 100))
    with pytest.raises(EngineError, match="vocabulary of 512"):
        await VllmEngine(bundle, SETTINGS).start()
