"""What changes in a running vLLM engine: catalogs, filters and weights."""

import asyncio
import shutil
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import pytest_asyncio
import torch
from hypothesis import given
from hypothesis import strategies as st

from catalog.ids.index import ItemIndex
from catalog.search.guidance import Prior, StaticPrior
from catalog.search.transformers import TransformersRanker
from server.engine.errors import EngineError
from tests.catalog.search.slow_search import slow_search
from tests.integration.rankings import assert_same, request, some_leaves, words

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]

SIZES = (24, 32, 16)


@st.composite
def catalogs(draw):
    """A random index of few items, and a search in it: width, denied, filtered and allowed leaves."""
    path = st.tuples(*(st.sampled_from(range(0, size, 5)) for size in SIZES))
    paths = draw(st.lists(path, min_size=1, max_size=40, unique=True))
    index, _ = ItemIndex.build(np.array(paths), SIZES)
    leaves = st.lists(st.integers(0, len(paths) - 1), unique=True).map(sorted)
    return index, draw(st.integers(1, 50)), draw(leaves), draw(st.none() | leaves), draw(st.none() | leaves)


@pytest_asyncio.fixture(loop_scope="session")
async def numbered(vllm_engine):
    """Numbers for indexes, which are forgotten after the test."""
    used = []

    def number():
        used.append(len(used) + 1)
        return used[-1]

    yield number
    for snapshot in used:
        await vllm_engine.retire(snapshot)


def next_codes(model, bundle, prompt):
    """What the whole model, without cache or search, thinks of the codes after `prompt` and a path."""

    @torch.inference_mode()
    def after(path):
        tokens = [int(bundle.level_tokens[level][code]) for level, code in enumerate(path)]
        logits = model(torch.tensor([[*prompt, *tokens]])).logits[0, -1]
        return torch.log_softmax(logits[bundle.level_tokens[len(path)]], -1)

    return after


@given(catalog=catalogs(), seed=st.integers(0, 5))
async def test_any_catalog_and_limits_give_what_brute_force_gives(
    vllm_engine, small_bundle, small_model, catalog, seed
):
    index, width, deny, chosen, allow = catalog
    await vllm_engine.install(9, index)
    if chosen is not None:
        await vllm_engine.install_filter(9, 1, np.isin(np.arange(len(index)), chosen))
    prompt = words(seed, 33 + seed)
    limits = {"deny": deny, "allow": allow, "filter_id": None if chosen is None else 1}
    ranking = await vllm_engine.rank(request(prompt, width, index_id=9, **limits))
    wanted = set(range(len(index))) - set(deny)
    for limit in (chosen, allow):
        wanted &= wanted if limit is None else set(limit)
    expected = slow_search(index, width, wanted, next_codes(small_model, small_bundle, prompt)) if wanted else []
    assert list(ranking.leaves) == [leaf for leaf, _ in expected]
    np.testing.assert_allclose(ranking.scores, [score for _, score in expected], atol=1e-4)
    await vllm_engine.retire(9)


async def test_requests_of_one_batch_may_be_limited_in_every_way(vllm_engine, ranker, small_bundle):
    index = small_bundle.index
    tenth, few = (np.zeros(len(index), bool) for _ in range(2))
    tenth[some_leaves(1, index, len(index) // 10)], few[some_leaves(2, index, 3)] = True, True
    await vllm_engine.install_filter(0, 1, tenth)
    await vllm_engine.install_filter(0, 2, few)
    listed = some_leaves(3, index, 40)
    limits = [
        {},
        {"filter_id": 1},
        {"filter_id": 2},
        {"allow": listed.tolist()},
        {"filter_id": 1, "deny": np.flatnonzero(tenth)[:-4].tolist()},
        {"allow": listed.tolist(), "deny": listed[::2].tolist(), "filter_id": 1},
    ]
    rankings = await asyncio.gather(
        *(vllm_engine.rank(request(words(i, 40), 30, **limit)) for i, limit in enumerate(limits))
    )
    sets = {None: np.ones(len(index), bool), 1: tenth, 2: few}
    for i, (limit, ranking) in enumerate(zip(limits, rankings, strict=True)):
        wanted = np.flatnonzero(sets[limit.get("filter_id")])
        wanted = np.setdiff1d(wanted, limit.get("deny", []))
        wanted = np.intersect1d(wanted, limit.get("allow", wanted))
        assert_same(ranking, ranker.rank([words(i, 40)], 30, allow=[wanted])[0])
    await vllm_engine.retire_filter(0, 1)
    with pytest.raises(EngineError, match="filter 1 of index 0 is not installed"):
        await vllm_engine.rank(request([1], 3, filter_id=1))
    assert len((await vllm_engine.rank(request([1], 30, filter_id=2))).leaves) == 3
    await vllm_engine.retire_filter(0, 2)


async def test_requests_finish_on_the_index_they_name(vllm_engine, small_model, small_bundle, numbered):
    """Two catalogs in one batch, each ranked as by itself; one can be forgotten while the other answers."""
    paths = small_bundle.index.paths(np.arange(0, len(small_bundle.index), 3))
    smaller, _ = ItemIndex.build(paths, SIZES)
    number = numbered()
    await vllm_engine.install(number, smaller)
    prompts = [words(50 + i, 20 + i) for i in range(8)]
    rankings = await asyncio.gather(
        *(vllm_engine.rank(request(prompt, 20, index_id=number * (i % 2))) for i, prompt in enumerate(prompts))
    )
    for i, (prompt, ranking) in enumerate(zip(prompts, rankings, strict=True)):
        index = smaller if i % 2 else small_bundle.index
        assert_same(ranking, TransformersRanker(small_model, index, small_bundle.level_tokens).rank([prompt], 20)[0])
    await vllm_engine.retire(number)
    with pytest.raises(EngineError, match=f"index {number} is not installed"):
        await vllm_engine.rank(request([1], 3, index_id=number))
    assert (await vllm_engine.statistics())["indexes"] == 1


async def test_a_set_of_another_catalog_is_refused(vllm_engine):
    with pytest.raises(EngineError, match="5 leaves does not fit index 0, which has 3000"):
        await vllm_engine.install_filter(0, 1, np.ones(5, bool))


async def test_an_index_that_the_engine_refuses_leaves_nothing(vllm_engine, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    foreign, _ = ItemIndex.build(np.array([[90, 0, 0]]), (91, 1, 1))
    with pytest.raises(EngineError, match="install_index failed"):
        await vllm_engine.install(7, foreign)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(EngineError, match="index 7 is not installed"):
        await vllm_engine.rank(request([1], 1, index_id=7))


async def test_a_bundle_of_shorter_identifiers_can_make_way_for_the_first_again(
    vllm_engine, ranker, small_bundle, tmp_path
):
    index, _ = ItemIndex.build(np.array([[0, 1], [0, 2], [3, 0]]), SIZES[:2])
    index.save(tmp_path)
    short = replace(small_bundle, index_dir=tmp_path, index=index, level_tokens=small_bundle.level_tokens[:2])
    await vllm_engine.reload(short)
    assert len((await vllm_engine.rank(request([1], 3))).leaves) == 3
    await vllm_engine.reload(small_bundle)
    assert_same(await vllm_engine.rank(request(words(1, 9), 5)), ranker.rank([words(1, 9)], 5)[0])


async def test_another_bundle_can_take_the_place_of_the_first(vllm_engine, ranker, small_model, small_bundle, tmp_path):
    """New weights, new items, other code tokens; nothing cached of the old ones answers. Then back again."""
    generator = torch.Generator().manual_seed(1)
    changed = type(small_model)(small_model.config)
    changed.load_state_dict(
        {
            name: value + 0.05 * torch.randn(value.shape, generator=generator)
            for name, value in small_model.state_dict().items()
        }
    )
    changed.tie_weights()
    changed.save_pretrained(tmp_path / "model")
    paths = np.unique(np.random.default_rng(5).integers(0, SIZES, (500, 3)), axis=0)
    index, _ = ItemIndex.build(paths, SIZES)
    index.save(tmp_path / "index")
    tokens = [tokens[::-1].copy() for tokens in small_bundle.level_tokens]
    other = replace(
        small_bundle, model_dir=tmp_path / "model", index_dir=tmp_path / "index", index=index, level_tokens=tokens
    )
    prompt = words(6, 70)
    original = await vllm_engine.rank(request(prompt, 10))
    try:
        await vllm_engine.reload(other)
        expected = TransformersRanker(changed, index, tokens).rank([prompt], 10)[0]
        assert_same(await vllm_engine.rank(request(prompt, 10)), expected)
        assert tuple(expected.leaves) != original.leaves
    finally:
        await vllm_engine.reload(small_bundle)
    assert_same(await vllm_engine.rank(request(prompt, 10)), ranker.rank([prompt], 10)[0])


async def test_a_model_trained_over_children_is_searched_over_children(vllm_engine, small_model, small_bundle, ranker):
    """The bundle says it, so an engine that loads one after the other searches each as it was trained."""
    children = replace(small_bundle, normalize="children")
    over_children = TransformersRanker(
        small_model, small_bundle.index, small_bundle.level_tokens, normalize=children.normalize
    )
    prompts = [words(9 + i, 30 + i) for i in range(1, 5)]  # their best scores are apart by more than rounding
    try:
        await vllm_engine.reload(children)
        found = await asyncio.gather(*(vllm_engine.rank(request(prompt, 60)) for prompt in prompts))
        for ranking, expected in zip(found, over_children.rank(prompts, 60), strict=True):
            assert_same(ranking, expected)
    finally:
        await vllm_engine.reload(small_bundle)
    assert_same(await vllm_engine.rank(request(prompts[0], 60)), ranker.rank(prompts[:1], 60)[0])
    assert tuple(found[0].scores) != tuple(ranker.rank(prompts[:1], 60)[0].scores.tolist())


async def test_ties_are_broken_as_by_transformers_to_the_last(vllm_engine, small_model, small_bundle, tmp_path):
    """Last codes that the model cannot tell apart: items that differ in them only tie, and the lower leaf comes first.

    Ties of one hidden state are exact in any engine; between two, kernels may round differently by row.
    """
    tied = type(small_model)(small_model.config)
    tied.load_state_dict(small_model.state_dict())
    with torch.no_grad():
        weight, tokens = tied.get_input_embeddings().weight, small_bundle.level_tokens[-1]
        weight[tokens] = weight[tokens[0]].clone()
    tied.save_pretrained(tmp_path)
    prompt = words(8, 45)
    try:
        await vllm_engine.reload(replace(small_bundle, model_dir=tmp_path))
        ranker = TransformersRanker(tied, small_bundle.index, small_bundle.level_tokens)
        for width in (50, 128):
            ranking = await vllm_engine.rank(request(prompt, width))
            assert_same(ranking, ranker.rank([prompt], width)[0])
            assert len(set(ranking.scores)) < 0.8 * width
            assert all(
                left < right
                for (left, score), (right, other) in pairwise(zip(ranking.leaves, ranking.scores, strict=True))
                if score == other
            )
    finally:
        await vllm_engine.reload(small_bundle)


async def test_a_bundle_that_the_loaded_model_cannot_hold_is_refused(vllm_engine, ranker, small_bundle, tmp_path):
    from transformers import Qwen2Config, Qwen2ForCausalLM

    config = Qwen2Config.from_pretrained(small_bundle.model_dir)
    config.num_hidden_layers = 1
    config.layer_types = ["full_attention"]
    Qwen2ForCausalLM(config).save_pretrained(tmp_path)
    with pytest.raises(EngineError, match=r"differs in layer_types, .*num_hidden_layers: use --rollout surge"):
        await vllm_engine.reload(replace(small_bundle, model_dir=tmp_path))
    deeper = SimpleNamespace(depth=4)
    with pytest.raises(EngineError, match="4 codes and there is room for 3: use --rollout surge"):
        await vllm_engine.reload(replace(small_bundle, index=deeper))
    assert_same(await vllm_engine.rank(request(words(1, 9), 5)), ranker.rank([words(1, 9)], 5)[0])


async def test_weights_that_are_not_the_bundles_are_noticed(vllm_engine, small_bundle, tmp_path, monkeypatch):
    """As if the file were another one by the time the engine reads it."""
    shutil.copytree(small_bundle.model_dir, tmp_path / "model")
    monkeypatch.setattr("server.engine.vllm.frontend.client.checkpoint_digest", lambda directory: "0" * 64)
    with pytest.raises(EngineError, match="are not those in"):
        await vllm_engine.reload(replace(small_bundle, model_dir=tmp_path / "model"))
    monkeypatch.undo()
    await vllm_engine.reload(small_bundle)


async def test_nothing_is_swapped_while_requests_are_under_way(vllm_engine, small_bundle):
    busy = asyncio.create_task(vllm_engine.rank(request(words(1, 600), 200)))
    await asyncio.sleep(0.002)
    with pytest.raises(EngineError, match="wait until no request is under way"):
        await vllm_engine.reload(small_bundle)
    assert len((await busy).leaves) == 200


async def test_a_prior_guides_the_search_as_it_does_with_transformers(vllm_engine, ranker, small_bundle):
    """Guided and unguided requests in one batch, with filters and denied leaves."""
    index, generator = small_bundle.index, np.random.default_rng(3)
    static_N = generator.normal(size=len(index)).astype(np.float32)
    await vllm_engine.install_static_prior(0, static_N)
    static = StaticPrior(index, static_N)
    leaves = [some_leaves(i, index, 60) for i in range(4)]
    priors = [
        Prior(leaves[0], generator.normal(size=60).astype(np.float32) * 5),
        None,
        Prior(leaves[2], generator.normal(size=60).astype(np.float32) * 5, model_weight=0.3, static_weight=1.5),
        Prior(leaves[3], generator.normal(size=60).astype(np.float32), model_weight=2.0, static_weight=-1.0),
    ]
    denied = [np.empty(0, np.int64), leaves[1][:5], leaves[2][::2], leaves[0]]
    rankings = await asyncio.gather(
        *(
            vllm_engine.rank(request(words(i, 40), 20, deny=deny.tolist(), prior=prior))
            for i, (deny, prior) in enumerate(zip(denied, priors, strict=True))
        )
    )
    for i, (deny, prior, ranking) in enumerate(zip(denied, priors, rankings, strict=True)):
        assert_same(ranking, ranker.rank([words(i, 40)], 20, deny=[deny], priors=[prior], static=static)[0])
    plain = ranker.rank([words(0, 40)], 20)[0]
    assert list(rankings[0].leaves) != plain.leaves.tolist()
    with pytest.raises(EngineError, match="does not fit"):
        await vllm_engine.install_static_prior(0, np.zeros(3))
