"""Several processes of one run, and what they say to each other."""

import itertools
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from catalog.bundle.folder import current_bundle
from tests.support import world
from tests.support.paths import ROOT
from tests.trainer.distributed.two_processes import in_two_processes, run_by_two
from tests.trainer.gems.small_models import one_thread
from tests.trainer.methods.small_world import FULL_PRECISION, small_world
from trainer.config.recipe import load_recipe
from trainer.core.errors import SettingsError, TrainerError
from trainer.distributed.group import SINGLE_PROCESS, ProcessGroup, init_process_group
from trainer.model.weight_average import WeightAverage
from trainer.pipeline import run
from trainer.runtime import loop
from trainer.runtime.schedule import Schedule

METHODS = ("gems", "single_subspace", "full", "lora", "lora_moe")
RUN = (  # small steps: at 2e-3, micro-batches of 1 and 2 in one process end 3e-5 apart, as Adam enlarges rounding
    *world.TINY,
    *FULL_PRECISION,
    "training.dropout=0",
    "training.micro_batch=2",
    "gems.lr=2e-4",
    "gems.adamw_lr=2e-4",
)
BROKEN = 2  # the step whose loss is no number in process 1, though its gradient is finite


def tuned(method, folder, group):
    """Weights after five steps, and which of them were applied."""
    # search batches of one sequence: the second process has none of those
    settings = ("training.search_sequences=1", "training.micro_batch=1", "gems.refresh_every=2", "gems.rank=8")
    shop = small_world(folder, f"method={method}", *settings, *FULL_PRECISION, "null_space.energy=0.5", group=group)
    applied = []
    for step in range(5):
        loss = shop.loss
        if step == BROKEN and group.rank == group.world_size - 1:
            shop.loss = lambda task_batch, loss=loss: loss(task_batch) + torch.nan
        applied.append(shop.train_step(step).applied)
        shop.loss = loss
    return {"weights": shop.weights(), "applied": applied}


def every_method(group, folder):
    return {method: tuned(method, folder, group) for method in METHODS}


def messages(group, _folder):
    """What the primitives give in process 0 and 1."""
    many = [torch.full((3, 2), 1.0 + group.rank), torch.arange(4) * group.rank, torch.ones(2, 3).T]
    group.all_reduce(many)
    copied = torch.full((2, 2), 5.0 + group.rank).T
    group.broadcast([copied])
    calls = []
    once = group.on_rank0(lambda: calls.append("once") or "made")
    first = group.rank0_first(lambda: calls.append("first") or group.rank)
    try:
        group.on_rank0(lambda: fail(group.rank))
    except (TrainerError, ZeroDivisionError) as error:
        fault = f"{type(error).__name__}: {error}"
    return {
        "many": many,
        "copied": copied,
        "calls": calls,
        "made": [once, first],
        "fault": fault,
        "any": group.all_reduce_any([group.rank == 1, False]),
        "gathered": group.all_gather_object(group.rank),
        "share": list(group.local_slice(range(5))),
    }


def fail(rank):
    raise ZeroDivisionError(f"in {rank}")


def interrupted_then_resumed(group, folder):
    """A run stopped after its fourth step and resumed; the steps that were made."""
    files, step, steps = world.write_world(folder / f"files-{group.rank}"), loop._step, []

    def stepping(*args):
        if args[-1] == 5 and len(steps) == 5:
            raise KeyboardInterrupt
        steps.append(args[-1])
        return step(*args)

    loop._step = stepping
    recipe = load_recipe("small", RUN)
    with suppress(KeyboardInterrupt):
        run(*files, folder / "out", recipe, resume=False, group=group)
    result = run(*files, folder / "out", recipe, resume=True, group=group)
    loop._step = step
    return {"steps": steps, "result": str(result)}


def timed(group, folder):
    """The steps of a run of one minute by clocks that go differently: a step takes 5 s in process 0, 1 s in 1."""
    shop = small_world(folder, "method=full", "training.steps=40", "training.minutes=1", group=group)
    reads, own = itertools.count(), folder / f"timed-{group.rank}"
    step, steps = loop._step, []
    loop._step = lambda *args: steps.append(args[-1]) or step(*args)
    parts = (shop.backbone, shop.method, shop.batches, shop.level_tokens, shop.recipe.training)
    rate = 1.0 if group.rank else 5.0
    loop.train(*parts, own, own / "log", seed=0, group=group, clock=lambda: rate * next(reads))
    loop._step = step
    return {"steps": len(steps), "weights": shop.weights()}


def everything(group, folder):
    """One start for all tests: it is most of the time."""
    return {part.__name__: part(group, folder) for part in (messages, every_method, interrupted_then_resumed, timed)}


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    return in_two_processes(everything, tmp_path_factory.mktemp("two"))


@pytest.fixture(scope="module")
def bundle_of_one(tmp_path_factory):
    folder = tmp_path_factory.mktemp("one")
    with one_thread():
        return run(*world.write_world(folder), folder / "out", load_recipe("small", RUN), resume=False)


def assert_same_weights(bundle, other):
    weights, others = (AutoModelForCausalLM.from_pretrained(path / "model").state_dict() for path in (bundle, other))
    for name, weight in weights.items():
        torch.testing.assert_close(weight, others[name], rtol=0, atol=1e-5)


def test_sums_copies_and_shares(both):
    for rank, result in enumerate(both):
        said = result["messages"]
        assert torch.equal(said["many"][0], torch.full((3, 2), 3.0))
        assert torch.equal(said["many"][1], torch.arange(4))
        assert torch.equal(said["many"][2], torch.full((3, 2), 2.0))
        assert torch.equal(said["copied"], torch.full((2, 2), 5.0))
        assert said["any"] == [True, False]
        assert said["gathered"] == [0, 1]
        assert said["share"] == [[0, 2, 4], [1, 3]][rank]


def test_the_first_process_works_and_the_others_get_its_result_or_its_fault(both):
    first, second = (result["messages"] for result in both)
    assert first["calls"] == ["once", "first"]
    assert second["calls"] == ["first"]
    assert [first["made"], second["made"]] == [["made", 0], ["made", 1]]
    assert first["fault"] == "ZeroDivisionError: in 0"
    assert second["fault"] == "TrainerError: process 1 stops because process 0 failed: in 0"


@pytest.mark.parametrize("method", METHODS)
def test_two_processes_tune_as_one(method, both, tmp_path):
    with one_thread():
        alone = tuned(method, tmp_path, SINGLE_PROCESS)
    first, second = (result["every_method"][method] for result in both)
    start = small_world(tmp_path, f"method={method}").weights()
    assert first["applied"] == second["applied"] == alone["applied"] == [step != BROKEN for step in range(5)]
    assert max((weight - start[name]).abs().max() for name, weight in alone["weights"].items()) > 1e-3
    for name, weight in alone["weights"].items():
        assert torch.equal(first["weights"][name], second["weights"][name])
        torch.testing.assert_close(first["weights"][name], weight, rtol=0, atol=1e-5)


def test_a_run_of_two_that_was_interrupted_ends_in_the_bundle_of_one(both, bundle_of_one):
    first, second = (result["interrupted_then_resumed"] for result in both)
    assert first == second
    assert first["steps"] == [0, 1, 2, 3, 4, 4, 5]
    published = Path(first["result"])
    assert current_bundle(published.parent) == published
    assert_same_weights(published, bundle_of_one)


def test_the_first_process_says_how_many_steps_fit_into_the_time(both):
    first, second = (result["timed"] for result in both)
    assert first["steps"] == second["steps"] == 11
    for name, weight in first["weights"].items():
        assert torch.equal(weight, second["weights"][name])


def run_by_torchrun(*words: str | Path) -> list[str]:
    """What `torchrun --nproc-per-node 2 WORDS…` prints."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *map(str, words)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [done.stdout]


@pytest.mark.parametrize("launch", [run_by_two, pytest.param(run_by_torchrun, marks=pytest.mark.slow)])
def test_the_command_trains_in_two_processes(launch, bundle_of_one, tmp_path):
    items, events = world.write_world(tmp_path)
    command = [ROOT / "trainer/run.py", "--items", items, "--events", events, "--out", tmp_path / "out", *RUN]
    printed = "".join(launch(*command))
    assert printed.count("published") == 1, "only the first process speaks"
    assert_same_weights(current_bundle(tmp_path / "out"), bundle_of_one)


def test_a_checkpoint_of_another_number_of_processes_is_refused(tmp_path):
    shop = small_world(tmp_path, "method=full")
    parts = shop.backbone, shop.method, Schedule(shop.recipe.training), WeightAverage(shop.backbone.model, 0)
    loop._save(tmp_path / "c", *parts, 1, SINGLE_PROCESS)
    state = loop.load_checkpoint(tmp_path / "c")
    loop.save_checkpoint(tmp_path / "c", state | {"random": state["random"] * 2})
    with pytest.raises(TrainerError, match="saved by 2 processes, here are 1: resume with --nproc-per-node 2"):
        loop._resume(tmp_path / "c", *parts, SINGLE_PROCESS)


def test_more_processes_than_sequences_are_refused(tmp_path):
    with pytest.raises(SettingsError, match=r"5 processes cannot share at most 4 sequences .*start fewer"):
        small_world(tmp_path, "method=full", group=ProcessGroup(4, 5))


def test_more_processes_than_gpus_are_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    for name, value in (("WORLD_SIZE", "2"), ("LOCAL_RANK", "1"), ("LOCAL_WORLD_SIZE", "2")):
        monkeypatch.setenv(name, value)
    with pytest.raises(TrainerError, match="started 2 processes here, but there are 1 GPUs"), init_process_group():
        pass
