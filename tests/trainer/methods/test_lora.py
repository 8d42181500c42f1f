import numpy as np
import pytest
import torch

from tests.support.processes import run
from tests.trainer.methods.small_world import make_backbone, small_world
from trainer.config.gems import PROJECTED_MODULES

SETTINGS = ("method=lora", "lora.rank=4", "lora.lr=0.02", "gems.adamw_lr=0.01")
WITHOUT_PEFT = """
import sys
assert "peft" not in sys.modules
sys.modules["peft"] = None  # importing it is an error
import numpy, torch
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM
loader = AutoModelForSeq2SeqLM if sys.argv[3] == "t5" else AutoModelForCausalLM
model = loader.from_pretrained(sys.argv[1])
ids = torch.arange(12)[None]
extra = {"decoder_input_ids": ids} if sys.argv[3] == "t5" else {}
with torch.no_grad():
    numpy.save(sys.argv[2], model.eval()(input_ids=ids, **extra).logits.numpy())
"""


@pytest.mark.parametrize("kind", ["qwen2", "t5"])
def test_the_merged_checkpoint_is_the_bases_and_answers_as_the_adapted_model_did_without_peft(kind, tmp_path):
    base = make_backbone(kind).model.state_dict()
    world = small_world(tmp_path, *SETTINGS, kind=kind)
    for step in range(5):
        world.train_step(step)
    adapted = world.text_logits()
    world.method.finish()
    torch.testing.assert_close(world.text_logits(), adapted, rtol=1e-4, atol=1e-5)

    saved = world.backbone.model.state_dict()
    assert {name: weight.shape for name, weight in saved.items()} == {name: w.shape for name, w in base.items()}
    for name, weight in saved.items():
        if name.rpartition(".")[0].rpartition(".")[2] in PROJECTED_MODULES:
            assert not torch.equal(weight, base[name]), f"{name} is what the adapters were for"
    world.backbone.save(tmp_path / "model")
    assert not list((tmp_path / "model").glob("adapter*"))
    np.testing.assert_allclose(logits_without_peft(tmp_path / "model", kind), adapted.numpy(), rtol=1e-4, atol=1e-5)


def logits_without_peft(folder, kind: str) -> np.ndarray:
    """What the checkpoint in `folder` answers in a process of its own."""
    done = run("-c", WITHOUT_PEFT, folder, folder / "logits.npy", kind, imported="trainer")
    assert done.returncode == 0, done.stderr
    return np.load(folder / "logits.npy")


def test_what_gems_tuned_answers_alike_without_peft(tmp_path):
    world = small_world(tmp_path, "null_space.energy=0.5", "gems.lr=0.01")
    for step in range(3):
        assert world.train_step(step).applied
    world.method.finish()
    world.backbone.save(tmp_path / "model")
    tuned = world.text_logits().numpy()
    np.testing.assert_allclose(logits_without_peft(tmp_path / "model", "qwen2"), tuned, rtol=0, atol=1e-5)


def test_the_first_pass_is_the_bases_and_ties_stay_tied(tmp_path):
    before = make_backbone()
    world = small_world(tmp_path, *SETTINGS)
    ids = torch.arange(12)[None]
    with torch.no_grad():
        expected = before.model.eval()(input_ids=ids).logits
    assert torch.equal(world.text_logits(), expected)
    world.train_step()
    model = world.backbone.model
    assert model.get_input_embeddings().weight is model.get_output_embeddings().weight


def test_an_adapter_has_the_rank_and_scale_it_was_given(tmp_path):
    """Merging adds at most `rank` directions, and alpha times as much gives alpha times the change."""
    changes = []
    for alpha in (4, 12):
        world = small_world(tmp_path, *SETTINGS, "lora.rank=3", f"lora.alpha={alpha}")
        base = make_backbone().model.model.layers[0].mlp.up_proj.weight.detach()
        for name, weight in world.backbone.model.named_parameters():
            if "lora_B" in name:
                weight.data.fill_(0.01)
        world.method.finish()
        changes.append(world.backbone.model.model.layers[0].mlp.up_proj.weight.detach() - base)
    assert torch.linalg.matrix_rank(changes[0], atol=1e-5) <= 3
    torch.testing.assert_close(changes[1], 3 * changes[0], rtol=1e-3, atol=1e-6)
