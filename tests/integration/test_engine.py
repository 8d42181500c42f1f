"""The vLLM engine against the transformers driver on the same weights, in float32."""

import asyncio
import os
import signal

import numpy as np
import psutil
import pytest
import torch

from server.core.settings import EngineSettings
from server.engine.errors import EngineError, EngineUnavailable
from server.engine.vllm.frontend.client import VllmEngine
from tests.integration.rankings import assert_same, request, some_leaves, words

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]

BLOCK = 32


@pytest.mark.parametrize("width", [1, 10, 50, 128])
async def test_ranks_like_transformers(vllm_engine, ranker, width):
    prompt = words(0, 50)
    ranking = await vllm_engine.rank(request(prompt, width))
    assert_same(ranking, ranker.rank([prompt], width)[0])
    assert len(set(ranking.leaves)) == width


@pytest.mark.parametrize("length", [1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK - 1, 3 * BLOCK, 600])
async def test_whatever_block_the_suffix_falls_into(vllm_engine, ranker, length):
    """The last but one code of a prompt of 31 or 95 tokens is in another block than the first."""
    prompt = words(length, length)
    assert_same(await vllm_engine.rank(request(prompt, 20)), ranker.rank([prompt], 20)[0])


async def test_scores_by_level_are_those_of_the_whole_model(vllm_engine, small_model, small_bundle):
    prompts = [words(20 + i, 30 + i) for i in range(4)]
    rankings = await asyncio.gather(
        *(vllm_engine.rank(request(prompt, 20, k=5, by_level=i != 3)) for i, prompt in enumerate(prompts))
    )
    assert rankings[3].level_scores is None
    for prompt, ranking in zip(prompts[:3], rankings[:3], strict=True):
        np.testing.assert_allclose(np.sum(ranking.level_scores, 1), ranking.scores, atol=1e-5)
        for leaf, score_L in zip(ranking.leaves, ranking.level_scores, strict=True):
            assert score_L == pytest.approx(log_probabilities(small_model, small_bundle, prompt, leaf), abs=1e-4)
    nothing = request(prompts[0], 5, deny=list(range(len(small_bundle.index))), by_level=True)
    assert (await vllm_engine.rank(nothing)).level_scores == ()


def log_probabilities(model, bundle, prompt, leaf):
    """Of every code of a leaf, by one pass of the whole model over prompt and identifier."""
    path = bundle.index.path(leaf)
    ids = [int(tokens[code]) for tokens, code in zip(bundle.level_tokens, path, strict=True)]
    with torch.inference_mode():
        logits = model(torch.tensor([[*prompt, *ids]])).logits[0, len(prompt) - 1 : -1]
    return [
        torch.log_softmax(logits[level, torch.from_numpy(tokens)], -1)[path[level]].item()
        for level, tokens in enumerate(bundle.level_tokens)
    ]


async def test_a_mixed_batch_is_ranked_like_each_alone(vllm_engine, ranker, small_bundle):
    """Prompt lengths, widths and exclusions all differ; the beams are more than the scratch blocks hold."""
    generator = np.random.default_rng(7)
    lengths = generator.integers(1, 200, 24)
    widths = generator.choice([1, 3, 10, 50, 128, 200], 24)
    prompts = [words(100 + i, length) for i, length in enumerate(lengths)]
    excluded = [some_leaves(i, small_bundle.index, int(generator.integers(0, 200))) for i in range(24)]
    before = await vllm_engine.statistics()
    rankings = await asyncio.gather(
        *(
            vllm_engine.rank(request(prompt, int(width), deny=out.tolist()))
            for prompt, width, out in zip(prompts, widths, excluded, strict=True)
        )
    )
    after = await vllm_engine.statistics()
    for prompt, width, out, ranking in zip(prompts, widths, excluded, rankings, strict=True):
        assert_same(ranking, ranker.rank([prompt], int(width), deny=[out])[0])
        assert not set(ranking.leaves) & set(out.tolist())
    assert after["requests"] - before["requests"] == 24
    assert after["groups"] - before["groups"] < 24
    assert after["scratch_peak"] <= EngineSettings(max_width=200).scratch_blocks


async def test_nearly_everything_excluded_leaves_exactly_the_rest(vllm_engine, ranker, small_bundle):
    prompt, left = words(3, 40), some_leaves(1, small_bundle.index, 5)
    excluded = np.setdiff1d(np.arange(len(small_bundle.index)), left)
    ranking = await vllm_engine.rank(request(prompt, 50, deny=excluded.tolist()))
    assert sorted(ranking.leaves) == left.tolist()
    everything = list(range(len(small_bundle.index)))
    assert (await vllm_engine.rank(request(prompt, 50, deny=everything))).leaves == ()


async def test_fewer_are_returned_than_searched(vllm_engine, ranker):
    prompt = words(4, 60)
    assert_same(await vllm_engine.rank(request(prompt, 50, k=7)), ranker.rank([prompt], 50)[0], k=7)


async def test_a_shared_prefix_is_computed_once(vllm_engine):
    prefix = words(5, 5 * BLOCK)
    before = await vllm_engine.statistics()
    first = await vllm_engine.rank(request([*prefix, 1, 2, 3], 10))
    second = await vllm_engine.rank(request([*prefix, 4, 5, 6], 10))
    again = await vllm_engine.rank(request([*prefix, 1, 2, 3], 10))
    after = await vllm_engine.statistics()
    prompts = after["prompt_tokens"] - before["prompt_tokens"]
    computed = after["computed_tokens"] - before["computed_tokens"]
    assert prompts - computed == 2 * len(prefix)
    assert first.leaves != second.leaves
    assert first.leaves == again.leaves


async def test_cancelled_requests_leave_the_engine_well(vllm_engine, ranker):
    tasks = {asyncio.create_task(vllm_engine.rank(request(words(i, 500), 200))): words(i, 500) for i in range(16)}
    _, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    cancelled = list(pending)[::2]
    for task in cancelled:
        task.cancel()
    await asyncio.wait(tasks)
    assert len(cancelled) > 0
    assert all(task.cancelled() for task in cancelled)
    rest = [task for task in tasks if task not in cancelled]
    for task, expected in zip(rest, ranker.rank([tasks[task] for task in rest], 200), strict=True):
        assert_same(task.result(), expected)
    await vllm_engine.check()


async def test_requests_over_a_limit_are_refused(vllm_engine, small_bundle):
    with pytest.raises(EngineError, match="beam width 201"):
        await vllm_engine.rank(request([1], 201))
    with pytest.raises(EngineError, match="601 tokens"):
        await vllm_engine.rank(request([1] * 601, 5))
    with pytest.raises(EngineError, match="vocabulary of 512"):
        await vllm_engine.rank(request([1, 512], 5))
    with pytest.raises(EngineError, match="outside the catalog"):
        await vllm_engine.rank(request([1], 5, deny=[len(small_bundle.index)]))
    with pytest.raises(EngineError, match="allowed leaf 3000 is outside the catalog"):
        await vllm_engine.rank(request([1], 5, allow=[len(small_bundle.index)]))


@pytest.mark.slow
async def test_a_killed_engine_is_unavailable_and_stops_cleanly(small_bundle):
    """An engine of its own, since it does not survive."""
    engine = VllmEngine(small_bundle, EngineSettings(max_width=50, max_prompt_tokens=600, kv_cache_bytes=1 << 27))
    with pytest.raises(EngineUnavailable, match="not started"):
        await engine.rank(request([1], 1))
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    await engine.start()
    await engine.check()
    (core,) = [
        child
        for child in psutil.Process().children(recursive=True)
        if child.pid not in before and "EngineCore" in child.name()
    ]
    under_way = [asyncio.create_task(engine.rank(request(words(i, 500), 50))) for i in range(20)]
    await asyncio.sleep(0.05)
    os.kill(core.pid, signal.SIGKILL)
    outcomes = await asyncio.wait_for(asyncio.gather(*under_way, return_exceptions=True), 30)
    assert any(isinstance(outcome, EngineUnavailable) for outcome in outcomes)
    with pytest.raises(EngineUnavailable, match="died"):
        await engine.rank(request([1], 1))
    with pytest.raises(EngineUnavailable):
        await engine.check()
    await engine.stop()
    assert not psutil.pid_exists(core.pid) or psutil.Process(core.pid).status() == psutil.STATUS_ZOMBIE
    await engine.stop()
