"""The transformers driver against scoring every item, and against `generate` with a constraint."""

import numpy as np
import pytest
import torch
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
)

from catalog.errors import ItemIndexError
from catalog.ids.index import ItemIndex
from catalog.search import transformers as driver
from catalog.search.transformers import TransformersRanker

SIZES = (7, 5, 6)
FIRST = 40
LEVEL_TOKENS = [FIRST + sum(SIZES[:level]) + np.arange(size) for level, size in enumerate(SIZES)]
VOCABULARY = FIRST + sum(SIZES) + 2
PROMPTS = [[1, 2, 3], [4, 5, 6, 7, 8, 9, 10, 11], [12], [3, 2, 1, 30, 31]]


def qwen2():
    config = Qwen2Config(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=True,
        initializer_range=0.5,
    )
    return Qwen2ForCausalLM(config)


def llama():
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        tie_word_embeddings=False,
        initializer_range=0.5,
    )
    return LlamaForCausalLM(config)


def t5():
    config = T5Config(
        vocab_size=VOCABULARY, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4, decoder_start_token_id=0
    )
    return T5ForConditionalGeneration(config)


@pytest.fixture(scope="module", params=[qwen2, llama, t5], ids=lambda build: build.__name__)
def model(request):
    torch.manual_seed(0)
    return request.param().eval()


@pytest.fixture(scope="module")
def index():
    paths = np.unique(np.random.default_rng(0).integers(0, SIZES, (90, 3)), axis=0)
    return ItemIndex.build(paths, SIZES)[0]


def tokens_of(index, leaves):
    return np.stack([LEVEL_TOKENS[level][codes] for level, codes in enumerate(index.paths(leaves).T)], 1)


def children_of(index, level):
    """Which codes follow the first `level` codes of each item in some item's path, bool [N, C]: one by one."""
    paths = index.paths(np.arange(len(index))).tolist()
    follow = [{path[level] for path in paths if path[:level] == own[:level]} for own in paths]
    return torch.tensor([[code in codes for code in range(SIZES[level])] for codes in follow])


@torch.inference_mode()
def score_every_item(model, index, prompt, normalize):
    """Teacher forcing, one item after another."""
    answers = torch.tensor(tokens_of(index, np.arange(len(index))))
    if model.config.is_encoder_decoder:
        start = torch.full((len(index), 1), model.config.decoder_start_token_id)
        prompts = torch.tensor([prompt] * len(index))
        logits = model(input_ids=prompts, decoder_input_ids=torch.cat([start, answers[:, :-1]], 1)).logits
    else:
        sequences = torch.cat([torch.tensor([prompt] * len(index)), answers], 1)
        logits = model(sequences).logits[:, len(prompt) - 1 : -1]
    total = torch.zeros(len(index))
    for level, tokens in enumerate(LEVEL_TOKENS):
        if normalize != "vocabulary":
            own = logits[:, level, tokens]
            if normalize == "children":
                own = own.masked_fill(~children_of(index, level), -torch.inf)
            logp = torch.log_softmax(own, -1)
            total += logp.gather(1, (answers[:, level] - tokens[0])[:, None])[:, 0]
        else:
            total += torch.log_softmax(logits[:, level], -1).gather(1, answers[:, level, None])[:, 0]
    return total.numpy()


@pytest.mark.parametrize("normalize", ["codes", "children", "vocabulary"])
def test_a_wide_beam_equals_scoring_every_item(model, index, normalize):
    ranker = TransformersRanker(model, index, LEVEL_TOKENS, normalize=normalize)
    for prompt, (leaves, scores) in zip(PROMPTS, ranker.rank(PROMPTS, 1000), strict=True):
        expected = score_every_item(model, index, prompt, normalize)
        assert sorted(leaves.tolist()) == list(range(len(index)))
        np.testing.assert_allclose(scores, expected[leaves], atol=2e-5)
        assert (np.diff(scores) <= 0).all()


def test_the_probabilities_of_all_items_sum_to_one_over_children_only(model, index):
    found = {
        normalize: TransformersRanker(model, index, LEVEL_TOKENS, normalize=normalize).rank(PROMPTS, 1000)
        for normalize in ("codes", "children")
    }
    sums = {normalize: [np.exp(scores).sum() for _, scores in ranked] for normalize, ranked in found.items()}
    np.testing.assert_allclose(sums["children"], 1, atol=1e-4)
    assert max(sums["codes"]) < 0.999, "this index leaves no code out"


def test_a_restriction_changes_no_probability(model, index):
    ranker = TransformersRanker(model, index, LEVEL_TOKENS, normalize="children")
    deny = np.arange(0, len(index), 2)
    ((whole, scores),) = ranker.rank([[1, 2]], 1000)
    ((kept, kept_scores),) = ranker.rank([[1, 2]], 1000, deny=[deny])
    score_of = dict(zip(whole.tolist(), scores.tolist(), strict=True))
    np.testing.assert_allclose(kept_scores, [score_of[leaf] for leaf in kept.tolist()], atol=1e-5)


def test_equals_constrained_generation(model, index):
    ranker = TransformersRanker(model, index, LEVEL_TOKENS, normalize="vocabulary")
    width, prompt = 12, PROMPTS[1]
    (found,) = ranker.rank([prompt], width)
    answers = [tuple(path) for path in tokens_of(index, np.arange(len(index))).tolist()]
    skip = 1 if model.config.is_encoder_decoder else len(prompt)

    def legal(_, ids):
        prefix = tuple(ids[skip:].tolist())
        return sorted({answer[len(prefix)] for answer in answers if answer[: len(prefix)] == prefix})

    output = model.generate(
        torch.tensor([prompt]),
        attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
        max_new_tokens=3,
        num_beams=width,
        num_return_sequences=width,
        prefix_allowed_tokens_fn=legal,
        do_sample=False,
        eos_token_id=None,
        length_penalty=0.0,
        return_dict_in_generate=True,
        output_scores=True,
    )
    generated = [answers.index(tuple(ids[skip:].tolist())) for ids in output.sequences]
    assert found.leaves.tolist() == generated
    np.testing.assert_allclose(found.scores, output.sequences_scores.numpy(), atol=2e-5)


def test_narrow_beams_do_not_depend_on_the_batch(model, index, monkeypatch):
    ranker = TransformersRanker(model, index, LEVEL_TOKENS)
    together = ranker.rank(PROMPTS, 4)
    monkeypatch.setattr(driver, "MAX_CACHED_TOKENS", 1)
    alone = ranker.rank(PROMPTS, 4)
    for (leaves, scores), (leaves_alone, scores_alone) in zip(together, alone, strict=True):
        assert leaves.tolist() == leaves_alone.tolist()
        np.testing.assert_allclose(scores, scores_alone, atol=2e-5)


def test_exclusions_and_allowed_sets_are_exact(model, index):
    ranker = TransformersRanker(model, index, LEVEL_TOKENS)
    generator = np.random.default_rng(1)
    allowed = [np.sort(generator.choice(len(index), size, replace=False)) for size in (30, 5, 1, 60)]
    excluded = [np.sort(generator.choice(len(index), size, replace=False)) for size in (0, 40, 3, 20)]
    for row, (leaves, scores) in enumerate(ranker.rank(PROMPTS, 1000, deny=excluded, allow=allowed)):
        wanted = set(allowed[row].tolist()) - set(excluded[row].tolist())
        expected = score_every_item(model, index, PROMPTS[row], "codes")
        assert set(leaves.tolist()) == wanted
        np.testing.assert_allclose(scores, expected[leaves], atol=2e-5)
    narrow = ranker.rank(PROMPTS, 6, deny=excluded, allow=allowed)
    for row, (leaves, _) in enumerate(narrow):
        wanted = set(allowed[row].tolist()) - set(excluded[row].tolist())
        assert set(leaves.tolist()) <= wanted
        assert len(leaves) == min(6, len(wanted))


def test_atomic_identifiers_need_one_level(model):
    index, _ = ItemIndex.build(np.arange(20)[::-1, None], [20])
    ranker = TransformersRanker(model, index, [np.arange(FIRST, FIRST + 20)])
    ((leaves, _),) = ranker.rank([[1, 2, 3]], 20)
    assert sorted(leaves.tolist()) == list(range(20))


def test_training_goes_on_in_the_mode_it_was(model, index):
    ranker = TransformersRanker(model, index, LEVEL_TOKENS)
    model.train()
    try:
        trained = ranker.rank([[1, 2]], 3)[0]
        assert model.training
    finally:
        model.eval()
    assert trained.leaves.tolist() == ranker.rank([[1, 2]], 3)[0].leaves.tolist()


def test_unsorted_exclusions_are_refused(model, index):
    with pytest.raises(ItemIndexError, match="strictly increasing"):
        TransformersRanker(model, index, LEVEL_TOKENS).rank([[1]], 3, deny=[np.array([2, 1])])


def test_sliding_windows_are_refused(index):
    config = Qwen2Config(
        vocab_size=VOCABULARY,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        use_sliding_window=True,
        sliding_window=4,
        max_window_layers=0,
    )
    with pytest.raises(ValueError, match="sliding"):
        TransformersRanker(Qwen2ForCausalLM(config), index, LEVEL_TOKENS)
