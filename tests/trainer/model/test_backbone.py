import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
)

from catalog.ids.codes import Codebooks
from catalog.search.transformers import TransformersRanker
from tests.support.base_models import make_checkpoint
from trainer.config.recipe import BackboneRecipe
from trainer.core.errors import TrainerError
from trainer.model.backbone import (
    add_item_tokens,
    build_backbone,
    dropout,
    load_backbone,
    pretrain,
)


@pytest.mark.parametrize("kind", ["llama", "qwen3", "t5", "t5-gated"])
def test_a_backbone_given_as_a_path_is_loaded_tuned_and_answers(kind, trained):
    bundle = trained.bundle("gems.vocabulary_rows=none", base=kind)

    assert bundle.manifest.engine == ("transformers" if kind.startswith("t5") else "vllm")
    loader = AutoModelForSeq2SeqLM if kind.startswith("t5") else AutoModelForCausalLM
    base = loader.from_pretrained(trained.base(kind)).state_dict()
    tuned = loader.from_pretrained(bundle.model_dir)
    assert set(tuned.state_dict()) == set(base)
    rows = len(base[next(name for name in base if "embed" in name or "shared" in name)])
    for name, weight in tuned.state_dict().items():
        if "embed" in name or "shared" in name or "lm_head" in name:
            assert torch.equal(weight[:rows], base[name]), f"{name}: rows of the base vocabulary are frozen by default"
        else:
            assert weight.shape == base[name].shape
    assert any(
        not torch.equal(w, base[n]) for n, w in tuned.state_dict().items() if n.endswith(("q_proj.weight", "q.weight"))
    )
    ranker = TransformersRanker(tuned, bundle.index, bundle.level_tokens)
    leaves, _ = ranker.rank([bundle.prompts.render([], "red tent")], 30)[0]
    assert sorted(leaves) == list(range(30))


def test_a_missing_backbone_is_named(tmp_path):
    with pytest.raises(TrainerError, match="nowhere"):
        load_backbone(str(tmp_path / "nowhere"), BackboneRecipe())


def test_a_checkpoint_without_all_weights_is_not_completed_at_random(tmp_path):
    from safetensors.torch import load_file, save_file

    make_checkpoint("qwen3", tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(TrainerError, match=r"layers\.1\.mlp\.up_proj"):
        load_backbone(str(tmp_path), BackboneRecipe())


def test_alike_codes_start_with_alike_rows():
    backbone = build_backbone(BackboneRecipe(hidden=64, layers=1, heads=2, vocabulary=300), ["some text"], 64, seed=0)
    text = backbone.model.get_input_embeddings().weight.detach().clone()
    near = np.array([[1, 0, 0], [1, 0.05, 0], [0, 0, 1]], dtype=np.float32)
    add_item_tokens(backbone, Codebooks((near,)), seed=0)
    first, second, third = backbone.model.get_input_embeddings().weight.detach()[len(text) + 2 : len(text) + 5]
    assert torch.cosine_similarity(first, second, dim=0) > 0.9 > torch.cosine_similarity(first, third, dim=0)
    assert first.std() < 3 * text.std()
    torch.testing.assert_close(backbone.model.get_input_embeddings().weight.detach()[: len(text)], text)
    with pytest.raises(TrainerError, match="already has"):
        add_item_tokens(backbone, Codebooks((near,)), seed=0)


def test_pretraining_lowers_the_loss():
    texts = ["the red tent stands beside the blue lake and the green hill " * 5] * 40
    recipe = BackboneRecipe(hidden=32, layers=1, heads=1, vocabulary=300, pretrain_steps=30, pretrain_lr=1e-2)
    losses = list(pretrain(build_backbone(recipe, texts, 256, seed=0), texts, recipe, seed=0))
    assert losses[-1] < losses[0] / 2


def test_dropout_acts_in_training_only_and_leaves_no_hook():
    backbone = build_backbone(BackboneRecipe(hidden=32, layers=2, heads=1, vocabulary=300), ["some text"], 64, seed=0)
    ids = torch.arange(10)[None]
    model = backbone.model

    def logits():
        return model(input_ids=ids).logits.detach()

    model.eval()
    plain = logits()
    with dropout(model, 0.5):
        assert torch.equal(logits(), plain)
        model.train()
        assert not torch.equal(logits(), logits())
    assert torch.equal(logits(), plain)


@pytest.mark.parametrize(("hidden", "heads"), [(30, 4), (32, 2), (192, 4)])
def test_head_sizes_that_cannot_be_served_are_refused_before_training(hidden, heads):
    with pytest.raises(TrainerError, match="multiple of 32"):
        build_backbone(BackboneRecipe(hidden=hidden, heads=heads, vocabulary=300), ["x"], 64, seed=0)
