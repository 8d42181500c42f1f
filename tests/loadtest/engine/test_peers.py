"""The peers that need no vLLM; tests/integration/test_loadtest_engine.py starts the others."""

import numpy as np
import pytest
import torch

from catalog.search.transformers import TransformersRanker
from loadtest.engine.agreement import reference_leaves
from loadtest.engine.peers.process import PeerProcess
from loadtest.engine.peers.protocol import Limits
from loadtest.engine.peers.transformers import TransformersGenerate
from loadtest.measure.errors import LoadtestError
from loadtest.synthetic.bundle import Shape, draw_prompts, open_bundle, save_bundle

SHAPE = Shape(layers=1, hidden=64, words=100, depth=3, size=6, items=60)
LIMITS = Limits(width=60, concurrency=2, prompt=12, threads=1)


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    directory = tmp_path_factory.mktemp("checkpoint")
    save_bundle(directory, SHAPE, seed=0)
    return directory


@pytest.fixture
def prompts():
    return draw_prompts(SHAPE, 3, 12, np.random.default_rng(0))


def test_a_bundle_knows_which_tokens_spell_an_item(directory):
    bundle = open_bundle(directory, SHAPE)
    paths = {tuple(path): leaf for leaf, path in enumerate(bundle.index.paths(np.arange(60)).tolist())}
    assert len(paths) == 60
    for codes in np.ndindex(6, 6, 6):
        tokens = [int(level[code]) for level, code in zip(bundle.level_tokens, codes, strict=True)]
        assert bundle.leaf(tokens) == paths.get(codes, -1)
    assert bundle.leaf([1, 2, 3]) == -1
    assert max(int(level.max()) for level in bundle.level_tokens) < SHAPE.vocabulary


def test_prompts_are_words_and_all_different(prompts):
    tokens = np.array(prompts)
    assert tokens.shape == (3, 12)
    assert tokens.min() >= 1
    assert tokens.max() <= SHAPE.words
    assert len({tuple(prompt) for prompt in prompts}) == 3


def test_generate_finds_every_item_when_the_beam_is_wide_enough(directory, prompts):
    threads = torch.get_num_threads()
    peer = TransformersGenerate(open_bundle(directory, SHAPE), LIMITS)
    peer.start()
    leaves = peer.leaves(peer.answer(prompts, 60, 2))
    torch.set_num_threads(threads)
    assert [sorted(answer) for answer in leaves] == [list(range(60))] * 3


def test_generate_is_the_search_it_is_compared_with(directory, prompts):
    """Over the whole vocabulary and in bfloat16 both; rounding may swap neighbours, so the first five are compared."""
    from transformers import AutoModelForCausalLM

    bundle = open_bundle(directory, SHAPE)
    peer = TransformersGenerate(bundle, LIMITS)
    peer.start()
    found = peer.leaves(peer.answer(prompts, 10, 1))
    model = AutoModelForCausalLM.from_pretrained(bundle.model_dir, dtype=torch.float32)
    ranker = TransformersRanker(model, bundle.index, bundle.level_tokens, normalize="vocabulary")
    for answer, (leaves, _) in zip(found, ranker.rank(prompts, 10), strict=True):
        assert len(set(answer[:5]) & set(leaves.tolist())) == 5


def test_the_reference_ranks_every_prompt(directory, prompts):
    leaves = reference_leaves(open_bundle(directory, SHAPE), prompts, 7)
    assert [len(set(answer)) for answer in leaves] == [7, 7, 7]


@pytest.mark.slow
def test_a_peer_answers_from_its_own_process(directory, prompts):
    peer = PeerProcess("transformers", directory, SHAPE, LIMITS)
    try:
        peer.wait_until_ready()
        reply = peer.answer(prompts[:2], 4, 2)
    finally:
        peer.stop()
    assert reply.seconds > 0
    assert [len(set(answer)) for answer in reply.leaves] == [4, 4]
    assert min(map(min, reply.leaves)) >= 0


def test_a_peer_that_cannot_start_says_why(tmp_path):
    peer = PeerProcess("transformers", tmp_path, SHAPE, LIMITS)
    try:
        with pytest.raises(LoadtestError, match="transformers failed"):
            peer.wait_until_ready()
    finally:
        peer.stop()
