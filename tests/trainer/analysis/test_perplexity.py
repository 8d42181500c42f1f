"""Against one forward pass for every token, over as much text as its window shows."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.trainer.methods.small_world import make_backbone
from trainer.analysis.perplexity import TextModel, predict_text, read_text
from trainer.core.errors import TrainerError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("model")
    make_backbone("qwen2").save(path)
    return path


@pytest.fixture(scope="module")
def text(folder):
    return TextModel.load(folder)


def first_seen(position, window):
    """The start of the window that predicts a position: each goes on half a window, the last one too."""
    stride = max(1, window // 2)
    return 0 if position < window else ((position - window) // stride + 1) * stride


@given(tokens=st.integers(2, 60), window=st.integers(2, 20))
def test_every_token_is_predicted_once_from_its_window(text, tokens, window):
    ids_T = np.random.default_rng(tokens).integers(0, text.rows, tokens)
    found = predict_text(text, ids_T, window=window)
    assert len(found.loss_T) == len(found.right_T) == tokens - 1
    with torch.inference_mode():
        for position in range(1, tokens):
            start = first_seen(position, window)
            seen = torch.from_numpy(ids_T[start:position])[None]
            logp_V = torch.log_softmax(text.model(input_ids=seen).logits[0, -1, : text.rows], -1)
            assert found.loss_T[position - 1] == pytest.approx(-float(logp_V[ids_T[position]]), abs=1e-4)


def test_item_tokens_take_no_probability_from_text(text):
    ids_T = np.random.default_rng(0).integers(0, text.rows, 40)
    before = predict_text(text, ids_T).loss_T
    head = text.model.get_output_embeddings().weight
    assert len(head) > text.rows
    kept = head.detach().clone()
    with torch.no_grad():
        head[text.rows :] *= 100
    after = predict_text(text, ids_T).loss_T
    with torch.no_grad():
        head.copy_(kept)
    np.testing.assert_array_equal(before, after)


def test_text_is_read_by_the_base_and_cut(folder):
    whole = read_text(["a red tent", "a blue lamp"], folder)
    assert len(whole) > 5
    np.testing.assert_array_equal(read_text(["a red tent", "a blue lamp"], folder, limit=5), whole[:5])
    with pytest.raises(TrainerError, match="fewer than two"):
        read_text(["a red tent"], folder, limit=1)


def test_a_folder_without_a_checkpoint_is_named(tmp_path):
    with pytest.raises(TrainerError, match="holds no decoder-only checkpoint"):
        TextModel.load(tmp_path)
