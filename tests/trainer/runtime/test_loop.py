"""What the training loop leaves on the disk when training goes wrong."""

from itertools import pairwise

import pytest
import torch

from tests.trainer.methods.small_world import small_world
from trainer.core.errors import CheckpointError, TrainerError
from trainer.distributed.group import SINGLE_PROCESS
from trainer.model.weight_average import WeightAverage
from trainer.runtime import loop
from trainer.runtime.checkpoint import load_checkpoint, save_checkpoint
from trainer.runtime.schedule import Schedule
from trainer.runtime.step_log import read_step_log

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
        train(shop, checkpoint)
    saved = load_checkpoint(checkpoint)
    assert saved["step"] > SOUND, "it went on being saved"
    assert saved["method"]["steps"] == SOUND
    for name, weight in saved["weights"].items():
        assert torch.equal(weight, kept[SOUND][name])
        assert weight.isfinite().all()


def test_a_checkpoint_of_another_version_is_refused(tmp_path):
    shop = small_world(tmp_path, "method=full")
    parts = state_parts(shop)
    loop._save(tmp_path / "c", *parts, 1, SINGLE_PROCESS)
    state = load_checkpoint(tmp_path / "c")
    state["method"]["beside"] = state["method"].pop("plain")
    save_checkpoint(tmp_path / "c", state)
    with pytest.raises(CheckpointError, match=r"saved by another version .* no 'plain'.* without --resume"):
        loop._resume(tmp_path / "c", *parts, SINGLE_PROCESS)


AVERAGED = ("training.steps=10", "training.average=0.3", "training.checkpoint_every=1", "null_space.energy=0.5")


@pytest.mark.parametrize("method", ["gems", "full"])
def test_the_last_weights_are_averaged_also_by_a_run_that_was_interrupted(tmp_path, monkeypatch, method):
    after, stops = [], []
    one_step = loop._step

    def step(*args):
        if len(after) in stops:
            raise KeyboardInterrupt
        result = one_step(*args)
        after.append(shop.weights())
        return result

    monkeypatch.setattr(loop, "_step", step)
    shop = small_world(tmp_path, f"method={method}", *AVERAGED)
    train(shop, tmp_path / "whole")
    averaged = shop.weights()
    for name, weight in averaged.items():
        mean = torch.stack([weights[name] for weights in after[-3:]]).mean(0)
        torch.testing.assert_close(weight, mean)
    assert any(not torch.equal(weight, after[-1][name]) for name, weight in averaged.items())
    assert all(torch.equal(weight, after[-1][name]) for name, weight in saved_weights(tmp_path / "whole").items())

    for done in (7, 9):  # before the first of the three, and between them
        stops, checkpoint = [done], tmp_path / str(done)
        after.clear()
        shop = small_world(tmp_path, f"method={method}", *AVERAGED)
        with pytest.raises(KeyboardInterrupt):
            train(shop, checkpoint)
        stops = []
        shop = small_world(tmp_path, f"method={method}", *AVERAGED)
        train(shop, checkpoint)
        assert all(torch.equal(weight, averaged[name]) for name, weight in shop.weights().items())


def train(shop, checkpoint):
    loop.train(
        *(shop.backbone, shop.method, shop.batches, shop.level_tokens, shop.recipe.training),
        *(checkpoint, checkpoint.with_suffix(".jsonl")),
        seed=0,
        group=SINGLE_PROCESS,
    )


def saved_weights(checkpoint):
    return load_checkpoint(checkpoint)["weights"]


def state_parts(shop):
    return shop.backbone, shop.method, Schedule(shop.recipe.training), WeightAverage(shop.backbone.model, 0)


@pytest.mark.parametrize("texts", [1, 2])
def test_a_corpus_too_small_for_the_layers_says_what_to_raise(texts, tmp_path):
    too_small = (
        rf"has {8 * texts} tokens for model\.layers\.0\.self_attn\.q_proj, which is 32 wide: .*null_space\.texts"
    )
    with pytest.raises(TrainerError, match=too_small):
        small_world(tmp_path, f"null_space.texts={texts}", "null_space.text_tokens=8")


class Clock:
    """Time that passes only when a step is made: `seconds` for each."""

    def __init__(self, seconds):
        self.now, self.seconds = 0.0, seconds

    def __call__(self):
        return self.now

    def step(self, *args, one_step=loop._step):
        self.now += self.seconds
        return one_step(*args)


def train_for(folder, monkeypatch, clock, *settings, stop_at=None):
    """The weights after a run of at most 40 steps by this clock; `stop_at` interrupts it before this step."""
    shop = small_world(folder, "method=full", "training.steps=40", "training.dropout=0.1", *settings)

    def step(*args):
        if args[-1] == stop_at:
            raise KeyboardInterrupt
        return clock.step(*args)

    monkeypatch.setattr(loop, "_step", step)
    loop.train(
        shop.backbone,
        shop.method,
        shop.batches,
        shop.level_tokens,
        shop.recipe.training,
        folder / "checkpoint",
        folder / "training.jsonl",
        seed=0,
        clock=clock,
    )
    return shop.weights()


def test_a_budget_of_time_ends_the_run_and_the_learning_rates_course(tmp_path, monkeypatch):
    shares, share = [], Schedule.learning_rate_share
    monkeypatch.setattr(Schedule, "learning_rate_share", lambda *args: shares.append(share(*args)) or shares[-1])
    train_for(tmp_path, monkeypatch, Clock(2.0), "training.minutes=1", "training.final_lr=0.05")
    records = read_step_log(tmp_path / "training.jsonl")
    assert len(records) == 28  # of 2 s each: a minute, less the reserve
    assert [record.seconds for record in records] == [2.0] * 28
    assert all(record.tokens > 0 for record in records)
    assert shares[-1] < 0.08, "the course did not come to its end"
    assert max(shares) > 0.99
    assert all(later < earlier for earlier, later in pairwise(shares[2:]))


def test_a_budget_that_is_long_enough_changes_nothing(tmp_path, monkeypatch):
    free = train_for(tmp_path / "free", monkeypatch, Clock(1.0))
    bound = train_for(tmp_path / "bound", monkeypatch, Clock(1.0), "training.minutes=1")
    assert len(read_step_log(tmp_path / "bound" / "training.jsonl")) == 40
    assert all(torch.equal(weight, bound[name]) for name, weight in free.items())


@pytest.mark.parametrize("stop_at", [2, 5, 10])
def test_a_resumed_run_keeps_the_number_of_steps_however_fast_it_is(stop_at, tmp_path, monkeypatch):
    budget = ("training.minutes=1", "training.checkpoint_every=1000")
    through = train_for(tmp_path / "through", monkeypatch, Clock(4.0), *budget)
    with pytest.raises(KeyboardInterrupt):
        train_for(tmp_path / "again", monkeypatch, Clock(4.0), *budget, stop_at=stop_at)
    faster = 4.0 if stop_at == 2 else 0.01  # at step 2 nothing was fixed yet, and nothing saved
    resumed = train_for(tmp_path / "again", monkeypatch, Clock(faster), *budget)
    assert len(read_step_log(tmp_path / "again" / "training.jsonl")) == 14
    assert all(torch.equal(weight, resumed[name]) for name, weight in through.items())
