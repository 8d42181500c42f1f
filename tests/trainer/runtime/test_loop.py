"""What the training loop leaves on the disk when training goes wrong."""

import pytest
import torch

from tests.trainer.methods.small_world import small_world
from trainer.core.errors import CheckpointError, TrainerError
from trainer.distributed.group import SINGLE_PROCESS
from trainer.runtime import loop
from trainer.runtime.checkpoint import load_checkpoint, save_checkpoint

SOUND = 3  # steps before the loss stops being a number


def test_a_loss_that_stops_being_a_number_never_reaches_the_checkpoint(tmp_path, monkeypatch):
    shop = small_world(tmp_path, "training.steps=40", "training.checkpoint_every=1", "null_space.energy=0.5")
    kept, task_loss, one_step = [], loop.task_loss, loop._step

    def breaking(*args):
        loss = task_loss(*args)
        return loss * torch.nan if len(kept) > SOUND else loss

    def step(*args):
        kept.append(shop.weights())
        return one_step(*args)

    monkeypatch.setattr(loop, "task_loss", breaking)
    monkeypatch.setattr(loop, "_step", step)
    checkpoint = tmp_path / "checkpoint"
    with pytest.raises(TrainerError, match=r"not finite for 11 steps .*gems\.lr.* last sound state is in .*checkpoint"):
        loop.train(
            shop.backbone,
            shop.method,
            shop.batches,
            shop.level_tokens,
            shop.recipe.training,
            checkpoint,
            tmp_path / "record.jsonl",
            seed=0,
            group=SINGLE_PROCESS,
        )
    saved = load_checkpoint(checkpoint)
    assert saved["step"] > SOUND, "it went on being saved"
    assert saved["method"]["steps"] == SOUND
    for name, weight in saved["weights"].items():
        assert torch.equal(weight, kept[SOUND][name])
        assert weight.isfinite().all()


def test_a_checkpoint_of_another_version_is_refused(tmp_path):
    shop = small_world(tmp_path, "method=full")
    loop._save(tmp_path / "c", shop.backbone, shop.method, 1, SINGLE_PROCESS)
    state = load_checkpoint(tmp_path / "c")
    state["method"]["beside"] = state["method"].pop("plain")
    save_checkpoint(tmp_path / "c", state)
    with pytest.raises(CheckpointError, match=r"saved by another version .* no 'plain'.* without --resume"):
        loop._resume(tmp_path / "c", shop.backbone, shop.method, SINGLE_PROCESS)


@pytest.mark.parametrize("texts", [1, 2])
def test_a_corpus_too_small_for_the_layers_says_what_to_raise(texts, tmp_path):
    too_small = (
        rf"has {8 * texts} tokens for model\.layers\.0\.self_attn\.q_proj, which is 32 wide: .*null_space\.texts"
    )
    with pytest.raises(TrainerError, match=too_small):
        small_world(tmp_path, f"null_space.texts={texts}", "null_space.text_tokens=8")
