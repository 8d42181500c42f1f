"""Null spaces of a model's layers from one pass over a corpus."""

import pytest
import torch

from tests.trainer.gems.small_models import ids, qwen2, t5
from trainer.core.errors import BackboneError, NullSpaceError
from trainer.gems import Energy, estimate_null_spaces

DOWN = "model.layers.1.mlp.down_proj"


def _batches(count=6):
    return [{"input_ids": ids(4, seed)} for seed in range(count)]


def _seen(model, name, batches, side):
    """What a layer takes in or gives out, collected the plain way [tokens, width]."""
    rows = []
    hook = model.get_submodule(name).register_forward_hook(
        lambda module, args, output: rows.append((output if side == "output" else args[0]).flatten(0, -2))
    )
    with torch.no_grad():
        for batch in batches:
            model(**batch)
    hook.remove()
    return torch.cat(rows)


@pytest.mark.parametrize("side", ["output", "input"])
def test_equals_the_eigenvectors_of_the_layers_own_second_moment(side):
    model = qwen2()
    spaces = estimate_null_spaces(model, _batches(), side=side, threshold=Energy(0.9))
    assert len(spaces) == 14
    for name in (DOWN, "model.layers.0.self_attn.k_proj"):
        rows = _seen(model, name, _batches(), side)
        vectors = torch.linalg.svd(rows, full_matrices=False)[2].T
        space = spaces[name]
        kept = vectors[:, : space.width - space.free]
        torch.testing.assert_close(space.protected(kept), kept, atol=1e-3, rtol=0)
        held = (rows @ kept).square().sum() / rows.square().sum()
        assert held >= 0.9
        assert (rows @ kept[:, :-1]).square().sum() / rows.square().sum() < 0.9


def test_one_pass_serves_all_layers_and_leaves_the_model_as_it_was():
    model = qwen2().train()
    passes = []
    hook = model.register_forward_hook(lambda *_: passes.append(1))
    estimate_null_spaces(model, iter(_batches()))
    hook.remove()
    assert len(passes) == 6
    assert model.training
    assert not model.get_submodule(DOWN)._forward_hooks


def test_masked_positions_do_not_count():
    model, padded = qwen2(), _batches()
    mask = torch.ones(4, 12, dtype=torch.long)
    mask[:, 8:] = 0
    for batch in padded:
        batch["attention_mask"] = mask
    cut = [{"input_ids": batch["input_ids"][:, :8]} for batch in padded]
    with_mask, without = (estimate_null_spaces(model, batches, threshold=Energy(0.9)) for batches in (padded, cut))
    for name, space in with_mask.items():
        torch.testing.assert_close(
            space.protected(torch.eye(space.width)), without[name].protected(torch.eye(space.width)), atol=1e-3, rtol=0
        )


def test_encoder_and_decoder_of_t5_have_masks_of_their_own():
    model = t5("relu")
    batches = [
        {
            "input_ids": ids(4, seed, positions=9),
            "attention_mask": torch.ones(4, 9, dtype=torch.long),
            "decoder_input_ids": ids(4, seed, positions=7),
            "decoder_attention_mask": torch.ones(4, 7, dtype=torch.long),
        }
        for seed in range(5)
    ]
    spaces = estimate_null_spaces(model, batches, side="input")
    assert "decoder.block.1.layer.1.EncDecAttention.k" in spaces
    assert "encoder.block.0.layer.1.DenseReluDense.wi" in spaces


def test_wide_layers_are_sketched():
    model = qwen2(intermediate_size=60)
    spaces = estimate_null_spaces(model, _batches(), exact_width=20, sketch_rows=40, threshold=Energy(0.6))
    exact = estimate_null_spaces(model, _batches(), threshold=Energy(0.6))
    name = "model.layers.0.mlp.up_proj"
    kept = exact[name].factor_WK[:, :2]
    assert torch.linalg.matrix_norm(kept - spaces[name].protected(kept), 2) < 0.3


def test_a_corpus_that_cannot_tell_is_refused():
    model = qwen2()
    small = r"12 tokens for model\.layers\.0\.self_attn\.q_proj, which is 16 wide: .* by gems\.null_space=false"
    with pytest.raises(NullSpaceError, match=small):
        estimate_null_spaces(model, [{"input_ids": ids(1, 0)}])
    with pytest.raises(NullSpaceError, match="q_proj saw no token"):
        estimate_null_spaces(model, [])
    model.model.layers[0].mlp.up_proj.weight.data[0, 0] = torch.nan
    with pytest.raises(NullSpaceError, match=r"layers\.0\.mlp\.up_proj gave values that are not finite"):
        estimate_null_spaces(model, _batches())
    with pytest.raises(BackboneError, match="no trainable linear layer named c_attn"):
        estimate_null_spaces(model, _batches(), modules=("c_attn",))
