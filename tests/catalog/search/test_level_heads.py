"""Level heads against the whole head."""

import torch

from catalog.search import level_heads
from catalog.search.level_heads import LevelHeads, vocabulary_logsumexp


def whole_head():
    torch.manual_seed(0)
    return torch.randn(20, 8), torch.randn(20), [torch.tensor([3, 5, 7]), torch.tensor([11, 2])]


def test_codes_of_a_level_sum_to_one_over_the_level():
    weight, bias, levels = whole_head()
    heads = LevelHeads([weight[tokens] for tokens in levels], [bias[tokens] for tokens in levels])
    hidden = torch.randn(4, 8)
    for level, tokens in enumerate(levels):
        expected = torch.log_softmax((hidden @ weight.T + bias)[:, tokens], -1)
        torch.testing.assert_close(heads(level, hidden), expected)


def test_or_over_the_whole_vocabulary(monkeypatch):
    monkeypatch.setattr(level_heads, "MAX_LOGITS", 45)  # so that four beams take two slices
    weight, _, levels = whole_head()
    heads = LevelHeads(
        [weight[tokens] for tokens in levels],
        [None, None],
        lambda hidden: vocabulary_logsumexp(hidden, lambda piece: piece @ weight.T, 20),
    )
    hidden = torch.randn(4, 8)
    expected = torch.log_softmax(hidden @ weight.T, -1)[:, levels[1]]
    torch.testing.assert_close(heads(1, hidden), expected)


def test_half_precision_weights_still_give_distinct_probabilities():
    torch.manual_seed(0)
    weight, hidden = torch.randn(500, 64).bfloat16(), torch.randn(1, 64).bfloat16()
    (logp,) = LevelHeads([weight], [None])(0, hidden)
    assert logp.dtype == torch.float32
    assert len(logp.unique()) == 500
