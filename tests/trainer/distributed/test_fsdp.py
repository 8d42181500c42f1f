"""Two processes that hold a model between them, beside one that has all of it."""

from contextlib import suppress
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.support import world
from tests.trainer.distributed.two_processes import in_two_processes
from tests.trainer.gems.small_models import (
    PRECISE,
    assert_same,
    ids,
    language_loss,
    one_thread,
    qwen2,
    random_null_spaces,
    t5,
    weights_of,
)
from tests.trainer.methods.small_world import FULL_PRECISION, make_backbone, small_world
from trainer.config.recipe import load_recipe
from trainer.core.errors import CheckpointError, SettingsError
from trainer.distributed.fsdp import gather_weights, global_mean_loss, shard_model
from trainer.distributed.group import SINGLE_PROCESS, ProcessGroup
from trainer.gems import GemsConfig, GemsOptimizer
from trainer.pipeline import run
from trainer.runtime import loop
from trainer.runtime.checkpoint import load_checkpoint, save_checkpoint

STEPS = 6
BROKEN = 3  # the step whose loss is no number in one process
LONELY = 4  # the step whose search batch is one row, process 0's: the other makes a pass that does not count
SETTINGS = {
    "rank": 6,
    "refresh_every": 2,
    "oversampling": 4,
    "max_grad_norm": 0.5,
    "weight_decay": 0.1,
    "gate_lr": 0.02,  # with larger steps the gate of one row enlarges rounding to 5e-4
    "vocabulary_rows": 40,  # none of them in process 0
    "lr": 1e-3,
    "adamw_lr": 1e-3,
}
DTYPES = (torch.float32, torch.bfloat16)
CASES = ("output", "input", "checkpointed", "t5", "compact")  # the last with optimiser state in few bits
RUN = (
    *world.TINY,
    "training.dropout=0",
    "training.steps=4",
    "training.micro_batch=1",
    "training.search_sequences=3",  # process 1 has one of them fewer
    "training.average=0.5",
    "gems.lr=1e-4",
    "gems.adamw_lr=1e-4",
)
SHARD = "training.shard=true"


def model_of(case: str):
    """Of 41 units, so that the processes hold 21 and 20 rows of some weights."""
    if case == "t5":
        return t5("relu").eval()
    model = qwen2(intermediate_size=41)
    if case == "checkpointed":
        model.gradient_checkpointing_enable({"use_reentrant": False})
    return model


def tuned(case: str, group: ProcessGroup):
    """Weights, what the steps reported, and how many numbers of moments this process has kept."""
    model = model_of(case)
    side = "input" if case == "compact" else case
    spaces = random_null_spaces(model, side, 0.3) if side in ("output", "input") else None
    if group.world_size > 1:
        shard_model(model, group)
    precise = {} if case == "compact" else PRECISE
    config = GemsConfig(**SETTINGS, **precise, null_space=spaces is not None)
    optimizer = GemsOptimizer(model, config, null_spaces=spaces, shard_group=group)
    figures = []
    for step in range(STEPS):
        for task, count, shift in (("search", 1 if step == LONELY else 3, 0), ("recommendation", 6, 500)):
            rows = ids(count, step + shift)
            mine = group.local_slice(rows).contiguous()
            loss = language_loss(model, mine if len(mine) else rows[:1])
            if step == BROKEN and group.rank == group.world_size - 1:
                loss = loss + torch.nan
            part, mean, everyone = global_mean_loss(loss, len(mine), group)
            with optimizer.task(task, tokens=everyone, loss=mean):
                part.backward()
        stats = optimizer.step()
        derivatives = stats.hypergradient
        figures.append(
            [
                stats.applied,
                stats.losses.search,
                stats.grad_norm,
                stats.grad_norms.recommendation,
                stats.update_norm,
                stats.gates.search,
                derivatives.search if derivatives else 0.0,
            ]
        )
    return {
        "weights": gather_weights(model, group),
        "figures": torch.tensor(figures, dtype=torch.float64),
        "moments": sum(
            subspace["moments"]["code" if case == "compact" else "first"].numel()
            for layer in optimizer.state_dict()["layers"].values()
            for subspace in layer["subspaces"].values()
        ),
    }


def every_case(group, _folder):
    return {case: tuned(case, group) for case in CASES}


def trained(folder: Path, group: ProcessGroup, dtype: torch.dtype, *, stop_at: int | None = None):
    """The weights of a whole small run, and this process's remainders of them, which bfloat16 weights have.

    With `stop_at` the run is stopped at that step, and resumed in a new model.
    """
    settings = [*RUN, SHARD, "gems.rank=8", "null_space.energy=0.5"]
    step = loop._step

    def stopping(*args):
        if args[-1] == stop_at:
            raise KeyboardInterrupt
        return step(*args)

    def go():
        backbone = make_backbone()
        backbone.model.to(dtype)
        shop = small_world(folder, *settings, backbone=backbone, group=group)
        kept = (folder / "checkpoint", folder / "record.jsonl")
        recipe = shop.recipe.training
        loop.train(shop.backbone, shop.method, shop.batches, shop.level_tokens, recipe, *kept, seed=0, group=group)
        state = shop.method.state_dict()
        states = state["layers"] | state["plain"]
        remainders = {f"{name}, remainder": own["remainder"] for name, own in states.items()}
        return gather_weights(shop.backbone.model, group) | remainders

    if stop_at is not None:
        loop._step = stopping
        with suppress(KeyboardInterrupt):
            go()
        loop._step = step
    return go()


def resumed(group, folder):
    """Weights of a run that went through, and of one that was stopped between two checkpoints."""
    return {
        dtype: [trained(folder / f"{dtype}-{stop_at}", group, dtype, stop_at=stop_at) for stop_at in (None, 3)]
        for dtype in DTYPES
    }


def published(group, folder):
    files = world.write_world(folder / f"files-{group.rank}")
    return str(
        run(*files, folder / "out", load_recipe("small", [*RUN, *FULL_PRECISION, SHARD]), resume=False, group=group)
    )


def everything(group, folder):
    """One start for all tests: it is most of the time."""
    return {part.__name__: part(group, folder) for part in (every_case, resumed, published)}


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    return in_two_processes(everything, tmp_path_factory.mktemp("two"))


@pytest.mark.slow
@pytest.mark.large
@pytest.mark.parametrize("case", CASES)
def test_two_shards_reach_the_weights_of_one_model(case, both):
    with one_thread():
        alone = tuned(case, SINGLE_PROCESS)
    first, second = (result["every_case"][case] for result in both)
    start = weights_of(model_of(case))
    assert first["weights"].keys() == alone["weights"].keys()
    atol = 2e-4 if case == "compact" else 1e-5  # 6 steps of 1e-3, in which a moment rounded otherwise is a 22nd
    for name, weight in alone["weights"].items():
        torch.testing.assert_close(first["weights"][name], weight, rtol=0, atol=atol)
    assert max((weight - start[name]).abs().max() for name, weight in alone["weights"].items()) > 1e-3
    rtol = (
        5e-3 if case == "compact" else 1e-4
    )  # the gate learns from all directions, and so from moments rounded otherwise
    torch.testing.assert_close(first["figures"], alone["figures"], rtol=rtol, atol=atol, equal_nan=True)
    assert torch.equal(first["figures"].nan_to_num(), second["figures"].nan_to_num())
    assert first["figures"][:, 0].tolist() == [step != BROKEN for step in range(STEPS)]
    assert first["moments"] + second["moments"] == alone["moments"]
    assert second["moments"] < 0.51 * alone["moments"]


@pytest.mark.slow
@pytest.mark.large
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_resumed_run_ends_in_the_same_bits(dtype, both):
    for result in both:
        through, stopped = result["resumed"][dtype]
        assert_same(through, stopped)
        left = [tensor for name, tensor in through.items() if name.endswith("remainder") and tensor is not None]
        assert any(tensor.count_nonzero() for tensor in left) == (dtype == torch.bfloat16)


@pytest.mark.slow
@pytest.mark.large
def test_the_bundle_is_the_plain_checkpoint_of_one_process(both, tmp_path):
    with one_thread():
        alone = run(
            *world.write_world(tmp_path), tmp_path / "out", load_recipe("small", [*RUN, *FULL_PRECISION]), resume=False
        )
    bundle = Path(both[0]["published"])
    assert both[1]["published"] == str(bundle)
    for file in ("config.json", "tokenizer.json"):
        assert (bundle / "model" / file).read_bytes() == (alone / "model" / file).read_bytes()
    weights, others = (AutoModelForCausalLM.from_pretrained(path / "model").state_dict() for path in (bundle, alone))
    assert weights.keys() == others.keys()
    for name, weight in weights.items():
        torch.testing.assert_close(weight, others[name], rtol=0, atol=2e-5)  # processors add up in orders of their own


def test_all_processes_make_as_many_passes_and_count_every_sequence_once(tmp_path):
    shop = small_world(tmp_path, *RUN, "method=full")
    parts = []
    for rank in range(2):
        shop.batches._recipe = shop.recipe.training.model_copy(update={"shard": True})
        shop.batches._group = ProcessGroup(rank, 2)
        parts.append(shop.micro_batches())
    shop.batches._group = SINGLE_PROCESS
    alone = shop.micro_batches()
    assert [task_batch.task for task_batch in parts[0]] == [task_batch.task for task_batch in parts[1]]
    assert sum(task_batch.tokens for task_batch in (*parts[0], *parts[1])) == sum(
        task_batch.tokens for task_batch in alone
    )
    assert [task_batch.dummy for task_batch in parts[1]] == [False, True, False, False]


def test_what_cannot_be_sharded_is_refused(tmp_path):
    files = world.write_world(tmp_path)
    with pytest.raises(SettingsError, match=r"method=lora keeps whole weights .*take one of gems, single_subspace"):
        run(*files, tmp_path / "out", load_recipe("small", [SHARD, "method=lora"]), resume=False)
    with pytest.raises(SettingsError, match=r"there is one: start the run by torchrun --nproc-per-node N"):
        run(*files, tmp_path / "out", load_recipe("small", [SHARD]), resume=False)


def test_a_checkpoint_of_another_number_of_shards_is_refused(tmp_path):
    save_checkpoint(tmp_path / "c", {"step": 1})
    with pytest.raises(CheckpointError, match="saved by 1 processes, here are 2: resume with --nproc-per-node 1"):
        load_checkpoint(tmp_path / "c", ProcessGroup(0, 2))
