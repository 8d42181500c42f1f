"""A run gets from disk the items, identifiers, split and samples that it gets from events in memory."""

import resource
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from catalog.bundle.disk import disk_full_reason
from tests.support import world
from trainer.config.recipe import load_recipe
from trainer.core.errors import TrainerError
from trainer.data.examples import EventSampler
from trainer.data.prepared import StoredHistories
from trainer.runtime.prepare import InputFiles, TrainingData, prepare_data
from trainer.runtime.workspace import open_workspace


def prepared(files: tuple[Path, Path], out: Path, *settings: str) -> TrainingData:
    inputs = InputFiles.of(*files, None)
    recipe = load_recipe("small", (*world.TINY, *settings))
    with open_workspace(out, recipe, inputs.all(None), resume=False) as workspace:
        return prepare_data(inputs, recipe, workspace, None)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return world.write_world(tmp_path)


WAYS = {
    "leave_one_out": (),
    "time_cut": ("evaluation.split=time_cut", "events.weights={click: 2}", "training.user_sampling=root"),
}


@pytest.mark.parametrize("settings", WAYS.values(), ids=WAYS)
def test_a_run_gets_the_same_from_disk(files, tmp_path, settings) -> None:
    read = prepared(files, tmp_path / "read", *settings)
    mapped = prepared(files, tmp_path / "mapped", *settings, "events.on_disk=true")
    assert mapped.items.ids == read.items.ids
    np.testing.assert_array_equal(mapped.codes_NL, read.codes_NL)
    assert mapped.split.test
    assert list(mapped.split.test) == list(read.split.test)
    assert list(mapped.split.validation) == list(read.split.validation)
    assert isinstance(mapped.split.train.items_E, np.memmap)
    for one, other in ((mapped.split.full, read.split.full), (mapped.split.train, read.split.train)):
        assert (list(one.users), list(one.texts)) == (list(other.users), list(other.texts))
        for name in ("starts_U1", "items_E", "queries_E", "times_E"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    by = settings[-1].partition("=")[2] if settings else "events"
    for task in ("search", "recommendation"):
        drawn = [EventSampler(data.split.train, task, by).draw(50, np.random.default_rng(3)) for data in (mapped, read)]
        assert drawn[0] == drawn[1]


def test_what_is_prepared_is_taken_up_and_what_was_cut_is_made_again(files, tmp_path, monkeypatch) -> None:
    first = prepared(files, tmp_path, "events.on_disk=true").split.full
    assert isinstance(first, StoredHistories)
    made = (first.folder / "times.i64").stat().st_ino
    again = prepared(files, tmp_path, "events.on_disk=true", "seed=5").split.full
    assert (again.folder / "times.i64").stat().st_ino == made
    first.folder.rename(first.folder.with_name(".full-draft"))  # as a run leaves it that was cut
    assert prepared(files, tmp_path, "events.on_disk=true").split.full.folder == first.folder
    assert not first.folder.with_name(".full-draft").exists()
    table = pq.read_table(files[1])
    pq.write_table(table.slice(0, len(table) - 1), files[1])
    assert prepared(files, tmp_path, "events.on_disk=true").split.full.folder != first.folder


def test_a_damaged_file_is_named_and_leaves_nothing(files, tmp_path) -> None:
    content = bytearray(files[1].read_bytes())
    content[4 : len(content) // 2] = bytes(len(content) // 2 - 4)
    files[1].write_bytes(content)
    with pytest.raises(TrainerError, match=f"{files[1]}: .*damaged"):
        prepared(files, tmp_path, "events.on_disk=true")
    assert not any((tmp_path / ".training").glob("prepared-*/*"))


def test_a_full_disk_is_told_and_leaves_nothing(files, tmp_path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, hard))
    try:
        with pytest.raises(OSError, match=r"space|large") as caught:
            prepared(files, tmp_path, "events.on_disk=true")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert disk_full_reason(caught.value) is not None
    assert not any((tmp_path / ".training").glob("prepared-*/*"))
