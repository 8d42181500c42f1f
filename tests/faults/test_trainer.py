"""A training run that is killed, finds its disk full, its data changed, or itself started twice."""

import os
import random
import re
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from catalog.bundle.bundle import open_bundle
from catalog.bundle.folder import current_bundle, published_versions
from catalog.data.events import write_events
from catalog.data.tombstones import read_kept_events
from tests.support import world
from tests.support.paths import ROOT
from tests.support.processes import Process
from trainer import pipeline, run
from trainer.model.backbone import Backbone
from trainer.runtime import checkpoint, loop, read_split
from trainer.runtime.publish import publish_run
from trainer.runtime.workspace import Workspace

SETTINGS = (*world.TINY, "training.dropout=0")
BOUND = 120  # seconds that anything here may take, on a machine that others use too


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return world.write_world(tmp_path / "world")


def arguments(files: tuple[Path, Path], out: Path, *more: str, seed: int = 0) -> list[str]:
    items, events = map(str, files)
    given = ["--items", items, "--events", events, "--out", str(out), "--recipe", "small"]
    return [*given, *more, *SETTINGS, f"seed={seed}"]


def start(given: list[str], *launcher: str, threads: int | None = None) -> Process:
    environment = os.environ | {"OMP_NUM_THREADS": str(threads or torch.get_num_threads()), "CUDA_VISIBLE_DEVICES": ""}
    return Process(*launcher, ROOT / "trainer/run.py", *given, imported="trainer", environment=environment)


def wait_for(what: Callable[[], bool], process: Process) -> None:
    deadline = time.monotonic() + BOUND
    while not what():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.001)


def kill(process: Process) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


def all_whole(out: Path) -> list[str]:
    """The versions that are there; every one opens, and so does the current one."""
    versions = published_versions(out)
    for version in versions:
        open_bundle(out / version)
    if versions and (out / "current").is_symlink():
        assert current_bundle(out).name in versions
    return versions


def weights(bundle: Path) -> bytes:
    return (bundle / "model/model.safetensors").read_bytes()


def drafts(out: Path) -> list[str]:
    return [path.name for path in out.glob(".draft-*")]


@pytest.mark.slow
@pytest.mark.large
def test_a_trainer_killed_while_it_publishes_is_resumed_to_the_same_bits(
    files: tuple[Path, Path], published: Path, tmp_path: Path, keep: Callable[..., None]
) -> None:
    out = Path(shutil.copytree(published, tmp_path / "out", symlinks=True))
    before = all_whole(out)
    process = start(arguments(files, out))
    wait_for(lambda: bool(drafts(out)), process)
    kill(process)
    assert all_whole(out) == before
    assert drafts(out), "it was killed while it published"
    began = time.monotonic()
    assert run.main(arguments(files, out, "--resume")) == 0
    keep(seconds=time.monotonic() - began)
    (new,) = set(all_whole(out)) - set(before)
    assert current_bundle(out).name == new
    assert weights(out / new) == weights(out / before[0]), "a run of seed 0 that nothing interrupted"
    assert drafts(out) == []


@pytest.mark.slow
@pytest.mark.large
@pytest.mark.parametrize("seed", range(3))
def test_a_trainer_killed_again_and_again_ends_in_the_same_bits(
    files: tuple[Path, Path], published: Path, tmp_path: Path, seed: int
) -> None:
    out, chance = tmp_path / "out", random.Random(seed)
    for _ in range(6):
        process = start(arguments(files, out, "--resume"))
        with suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=chance.uniform(4, 16))  # imports take the first seconds, a whole run a few more
        kill(process)
        all_whole(out)
    last = start(arguments(files, out, "--resume"))
    told = last.communicate(timeout=BOUND)[0]
    assert last.returncode == 0, told
    versions = all_whole(out)
    assert {weights(out / version) for version in versions} == {weights(published / published_versions(published)[0])}
    assert current_bundle(out).name == versions[-1]
    assert drafts(out) == []


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """What a full disk does to whoever writes, in every language, with an error of its own."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def limited(work: Callable[..., Any], size: int) -> Callable[..., Any]:
    def call(*given: Any, **named: Any) -> Any:
        with no_file_larger_than(size):
            return work(*given, **named)

    return call


FULL = [(writing, size) for writing in ("catalog", "base", "checkpoint", "bundle") for size in (0, 500, 20_000)]


@pytest.mark.parametrize(
    ("writing", "size"),
    [("checkpoint", 5_000), *(pytest.param(*case, marks=(pytest.mark.slow, pytest.mark.large)) for case in FULL)],
)
def test_a_full_disk_ends_the_run_with_advice_and_a_resumed_one_goes_on(
    writing: str,
    size: int,
    files: tuple[Path, Path],
    published: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = Path(shutil.copytree(published, tmp_path / "out", symlinks=True))
    before, served = all_whole(out), current_bundle(out)
    with monkeypatch.context() as patch:
        if writing == "catalog":
            patch.setattr(Workspace, "stage", limited(Workspace.stage, size))
        elif writing == "base":
            patch.setattr(Backbone, "save", limited(Backbone.save, size))
        elif writing == "checkpoint":
            patch.setattr(loop, "save_checkpoint", limited(checkpoint.save_checkpoint, size))
        else:
            patch.setattr(pipeline, "publish_run", limited(publish_run, size))
        assert run.main(arguments(files, out)) == 2
    told = capsys.readouterr().err
    assert re.search(rf"trainer: {out} takes no more data \(.+\): make space there, .* --resume", told), told
    assert all_whole(out) == before
    assert current_bundle(out) == served
    assert not list(out.rglob(".*draft*/")), "what was written in part is gone"
    assert run.main(arguments(files, out, "--resume")) == 0
    (new,) = set(all_whole(out)) - set(before)
    assert weights(out / new) == weights(out / before[0])


def test_events_replaced_while_they_are_read_stop_the_run(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def reading(*given: Any) -> Any:
        result = read_kept_events(*given)
        write_events(world.event_table(seed=1), files[1])
        return result

    monkeypatch.setattr(read_split, "read_kept_events", reading)
    assert run.main(arguments(files, tmp_path / "out")) == 2
    assert re.search(r"events\.parquet was changed while it was read: .* start again", capsys.readouterr().err)
    assert not list((tmp_path / "out").rglob("catalog"))


def test_the_manifest_has_the_data_that_was_read_though_the_file_is_gone_since(
    files: tuple[Path, Path], published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def training(*given: Any, **named: Any) -> None:
        files[1].unlink()
        loop.train(*given, **named)

    monkeypatch.setattr(pipeline, "train", training)
    assert run.main(arguments(files, tmp_path / "out")) == 0
    new, old = (open_bundle(current_bundle(out)).manifest for out in (tmp_path / "out", published))
    assert new.data["events"]["sha256"] == old.data["events"]["sha256"]


@pytest.mark.parametrize("name", ["items.parquet", "events.parquet"])
@pytest.mark.parametrize("share", [0, 0.5, 0.99])
def test_a_file_that_was_cut_is_named(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, share: float
) -> None:
    file = files[0].parent / name
    file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])
    assert run.main(arguments(files, tmp_path / "out")) == 2
    assert f"trainer: {file}: not a readable Parquet file" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.large
@pytest.mark.parametrize("rank", [0, 1])
def test_two_processes_of_which_one_is_killed_both_end_and_resume(
    rank: int, files: tuple[Path, Path], tmp_path: Path, keep: Callable[..., None]
) -> None:
    out = tmp_path / "out"
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    given = [*arguments(files, out, "--resume"), "training.steps=40"]
    process = start(given, *launcher, threads=1)
    wait_for(lambda: any(out.glob(".training/*/checkpoint")), process)
    workers = psutil.Process(process.pid).children()
    (killed,) = [worker for worker in workers if worker.environ().get("RANK") == str(rank)]
    killed.kill()
    began = time.monotonic()
    process.communicate(timeout=BOUND)
    keep(seconds=time.monotonic() - began)
    assert process.returncode != 0
    assert not psutil.wait_procs(workers, timeout=BOUND)[1], "none is left waiting for the other"
    assert all_whole(out) == []
    again = start(given, *launcher, threads=1)
    told = again.communicate(timeout=3 * BOUND)[0]
    assert again.returncode == 0, told
    assert len(all_whole(out)) == 1
