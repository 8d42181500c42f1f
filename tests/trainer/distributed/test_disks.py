"""What ranks get of disks that they do not see."""

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest
import torch
from transformers import AutoModelForCausalLM

from catalog.bundle.folder import current_bundle
from tests.support import world
from tests.trainer.distributed.two_processes import in_two_processes
from tests.trainer.methods.small_world import FULL_PRECISION
from trainer.config.recipe import load_recipe
from trainer.core.errors import TrainerError
from trainer.distributed import disks as disks_module
from trainer.distributed.disks import find_disks
from trainer.pipeline import run
from trainer.runtime import loop
from trainer.runtime.checkpoint import load_checkpoint, save_checkpoint

TIMEOUT = timedelta(minutes=5)
RUN = (*world.TINY, *FULL_PRECISION, "training.micro_batch=2")
INTERRUPTED = 5  # the step before which a run stops; steps 2 and 4 are saved


def own_disk(group, folder, name):
    """A folder of this rank's own, and the group that knows of it."""
    own = folder / f"{name}-{group.rank}"
    own.mkdir(parents=True)
    return own, replace(group, disks=find_disks(own, TIMEOUT))


def write(folder, files):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def read(folder):
    """The text of every file, and None of every empty folder."""
    paths = [path for path in folder.rglob("*") if path.is_file() or not any(path.iterdir())]
    return {str(path.relative_to(folder)): path.read_text() if path.is_file() else None for path in paths}


def found(group, folder):
    shared, separate = find_disks(folder, TIMEOUT), own_disk(group, folder, "found")[1].disks
    left = [path.name for path in folder.glob(".ranks-*")]
    return {"shared": (shared.owners, shared.owned), "separate": (separate.owners, separate.owned), "left": left}


def mirrored(group, folder):
    own, group = own_disk(group, folder, "mirrored")
    if group.rank == 0:
        write(own, {"same": "same", "a/changed": "now", "a/b/new": "long " * 10, "empty": "", ".draft/half": "?"})
    else:
        write(own, {"same": "same", "a/changed": "old", "stale/gone": "gone", ".draft/other": "?"})
    before = (own / "same").stat().st_mtime_ns
    group.disks.mirror(own)
    first, untouched = read(own), (own / "same").stat().st_mtime_ns == before
    if group.rank == 1:
        write(own, {"newer": "newer"})
    group.disks.mirror(own, source=1)
    second = read(own)
    group.disks.mirror(own / "absent")
    return {"first": first, "untouched": untouched, "second": second, "absent": (own / "absent").exists()}


def collected(group, folder):
    own, group = own_disk(group, folder, "collected")
    write(own, {f"part-{group.rank}": f"of {group.rank}"})
    group.disks.collect(own)
    return read(own)


def of_shards(group, folder):
    """What each rank reads of a sharded checkpoint after the disks were exchanged."""
    own, group = own_disk(group, folder, "shards")
    save_checkpoint(own / "c", {"step": 3, "own": group.rank}, group)
    kept = sorted(read(own))
    state = group.rank0_first(lambda: load_checkpoint(own / "c", group), own / "c")
    return {"kept": kept, "state": state}


def full(group, folder):
    """The error where the disk of rank 1 takes no more, on every rank."""
    own, group = own_disk(group, folder, "full")
    if group.rank == 0:
        write(own, {"a": "first", "b": "long " * 10, "c": "last"})
    else:
        (own / "b").symlink_to("/dev/full")
    with pytest.raises(TrainerError) as caught:
        group.disks.mirror(own)
    return str(caught.value)


def failing(group, _folder):
    def make():
        if group.rank == 1:
            raise TrainerError("no such file here")
        return "made"

    with pytest.raises(TrainerError) as caught:
        group.on_every_rank(make)
    return {"own": group.on_every_rank(lambda: group.rank), "fault": str(caught.value)}


def other_inputs(group, folder):
    """The error of a run whose second node has another file of events."""
    files = group.on_rank0(lambda: world.write_world(folder / "inputs"))
    out, _ = own_disk(group, folder, "inputs-out")
    if group.rank == 1:
        (folder / "other.parquet").write_bytes(files[1].read_bytes())
        files = (files[0], folder / "other.parquet")
    with pytest.raises(TrainerError) as caught:
        run(*files, out, load_recipe("small", RUN), resume=False, group=group)
    return str(caught.value)


def everything(group, folder):
    """One start for all tests: it is most of the time."""
    disks_module.CHUNK = 16
    parts = (found, mirrored, collected, of_shards, full, failing, other_inputs)
    return {part.__name__: part(group, folder) for part in parts}


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    return in_two_processes(everything, tmp_path_factory.mktemp("disks"))


def test_ranks_find_out_whether_they_share_a_disk(both):
    assert [result["found"]["shared"] for result in both] == [((0,), True), ((0,), False)]
    assert [result["found"]["separate"] for result in both] == [((0, 1), True), ((0, 1), True)]
    assert both[0]["found"]["left"] == []


def test_a_disk_gets_what_it_lacks_of_another_and_keeps_nothing_else(both):
    files = {"same": "same", "a/changed": "now", "a/b/new": "long " * 10, "empty": ""}
    first, second = (result["mirrored"] for result in both)
    assert first["first"] == files | {".draft/half": "?"}, "drafts stay on the disk on which they are"
    assert second["first"] == files
    assert second["untouched"], "what is the same is not sent"
    assert first["second"] == second["second"] == files | {"newer": "newer"}
    assert not second["absent"]


def test_parts_of_all_disks_move_to_the_first(both):
    assert both[0]["collected"] == {"part-0": "of 0", "part-1": "of 1"}
    assert both[1]["collected"] == {}


def test_a_sharded_checkpoint_is_whole_on_the_first_disk_and_read_on_all(both):
    names = [f"c/{name}" for name in ("state-0.json", "state-1.json", "tensors-0.safetensors", "tensors-1.safetensors")]
    assert both[0]["of_shards"]["kept"] == names
    assert both[1]["of_shards"]["kept"] == []
    assert [result["of_shards"]["state"] for result in both] == [{"step": 3, "own": rank} for rank in range(2)]


def test_a_full_disk_of_one_is_an_error_of_all(both):
    assert both[0]["full"] == both[1]["full"]
    assert "process 1 cannot keep" in both[0]["full"]
    assert "No space left on device" in both[0]["full"]


def test_what_fails_on_one_rank_stops_all(both):
    assert [result["failing"]["own"] for result in both] == [0, 1]
    assert both[0]["failing"]["fault"] == "process 0 stops because process 1 failed: no such file here"
    assert both[1]["failing"]["fault"] == "no such file here"


def test_nodes_with_other_files_are_refused(both):
    for result in both:
        assert "process 1 has not the same as process 0" in result["other_inputs"]
        assert "other.parquet" in result["other_inputs"]
        assert "items.parquet" not in result["other_inputs"]


def trained(group, folder):
    """Bundles of runs on one disk, and of the same on two: interrupted, and resumed with the disks exchanged."""
    files, step = group.on_rank0(lambda: world.write_world(folder / "files")), loop._step
    steps = []

    def stopping(*args):
        steps.append(args[-1])
        if steps == list(range(INTERRUPTED + 1)):
            raise KeyboardInterrupt
        return step(*args)

    results = {}
    for shard in ("false", "true"):
        recipe = load_recipe("small", [*RUN, f"training.shard={shard}"])
        one = run(*files, folder / f"one-{shard}", recipe, resume=False, group=group)
        steps.clear()
        loop._step = stopping
        disks = [folder / f"two-{shard}-{number}" for number in range(2)]
        with suppress(KeyboardInterrupt):
            run(*files, disks[group.rank], recipe, resume=False, group=group)
        two = run(*files, disks[1 - group.rank], recipe, resume=True, group=group)
        loop._step = step
        results[shard] = {"one": str(one), "two": str(two), "steps": list(steps)}
    return results


@pytest.mark.slow
def test_nodes_that_exchange_their_disks_resume_to_the_bits_of_one_disk(tmp_path):
    results = in_two_processes(trained, tmp_path)
    assert not any(tmp_path.glob("two-*/.training/*"))
    for result in results:
        for shard in ("false", "true"):
            told = result[shard]
            assert told["steps"] == [0, 1, 2, 3, 4, 5, 4, 5]
            assert told["two"] == str(current_bundle(tmp_path / f"two-{shard}-1"))
            weights, others = (
                AutoModelForCausalLM.from_pretrained(f"{told[name]}/model").state_dict() for name in ("one", "two")
            )
            assert weights.keys() == others.keys()
            assert all(torch.equal(weight, others[name]) for name, weight in weights.items())
