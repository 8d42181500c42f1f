"""Training leaves out what erased users did, also from files that are older than the erasure."""

import json
import time
from pathlib import Path

import pytest

from catalog.bundle.bundle import open_bundle
from catalog.data.erasure import digest_of, tombstones_beside, write_tombstones
from tests.support import world
from trainer import run as program
from trainer.config.recipe import load_recipe
from trainer.evaluation.bundle import bundle_settings, held_out
from trainer.pipeline import run

NOW = time.time_ns() // 1_000_000
EVENTS_OF_ONE = len(world.COLOURS)


def test_events_of_erased_users_are_neither_trained_on_nor_asked_about(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    items, events = world.write_world(tmp_path)
    named = tmp_path / "named.json"
    write_tombstones({digest_of("u1"): NOW}, tombstones_beside(events))
    write_tombstones({digest_of("u2"): NOW, digest_of("u3"): 0}, named)
    folder = run(items, events, tmp_path / "bundles", load_recipe("small", world.TINY), resume=False, erased=named)
    data = json.loads((folder / "manifest.json").read_text())["data"]
    assert data["events"]["erased"] == 2 * EVENTS_OF_ONE
    assert [Path(data[name]["file"]).name for name in ("tombstones_1", "tombstones_2")] == [
        "events.erased.json",
        "named.json",
    ]
    assert f"{2 * EVENTS_OF_ONE} × event of an erased user" in capsys.readouterr().out
    bundle = open_bundle(folder)
    split, _ = held_out(bundle, events, bundle_settings(bundle))
    assert "u1" not in split.full.users
    assert {"u2", "u3"} < set(split.full.users)  # named for the training only


def test_a_file_of_tombstones_that_is_none_stops_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    items, events = world.write_world(tmp_path)
    command = ["--items", str(items), "--events", str(events), "--out", str(tmp_path / "b"), *world.TINY]
    assert program.main([*command, "--erased", str(tmp_path / "gone.json")]) == 2
    assert "gone.json" in capsys.readouterr().err
    tombstones_beside(events).write_text("[7]")
    assert program.main(command) == 2
    assert "events.erased.json" in capsys.readouterr().err
    assert not list((tmp_path / "b").glob("2*"))
