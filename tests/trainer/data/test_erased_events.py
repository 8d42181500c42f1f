"""Training leaves out what erased users did: one test for each way on which their events could come back."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from catalog.bundle.bundle import open_bundle
from catalog.bundle.folder import current_bundle
from catalog.data.events import write_events
from catalog.data.tombstones import digest_of, tombstones_beside, write_tombstones
from catalog.importers.__main__ import main as import_data
from catalog.text.query_terms import MIN_PEOPLE
from tests.support import world
from tests.trainer.data.conftest import Train, part
from trainer import run as program
from trainer.analysis.ablation.run import Run
from trainer.config.recipe import load_recipe
from trainer.evaluation.bundle import bundle_settings, held_out
from trainer.pipeline import run
from trainer.runtime.publish import typed_words

NOW = time.time_ns() // 1_000_000
EVENTS_OF_ONE = len(world.COLOURS)


def test_tombstones_beside_the_events_and_named_ones_are_heeded_to_the_end_of_a_run(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    items, events = files
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
    split, _ = held_out(bundle, [events], bundle_settings(bundle))
    assert "u1" not in split.full.users
    assert {"u2", "u3"} < set(split.full.users)  # named for the training only


def test_tombstones_beside_one_of_several_files_count_for_all_of_them(train: Train, tmp_path: Path) -> None:
    older = part(tmp_path / "older.parquet", "u0", "u1", "u2")
    newer = part(tmp_path / "newer.parquet", "u3", "u4")
    write_tombstones({digest_of("u3"): NOW}, tombstones_beside(older))
    write_tombstones({digest_of("u1"): NOW}, tombstones_beside(newer))
    for several in ((older, newer), (newer, older)):
        prepared = train("--events", several[0], "--events", several[1])
        assert set(prepared.split.full.users) == {"u0", "u2", "u4"}
        assert prepared.erased == 2 * EVENTS_OF_ONE


def test_named_tombstones_count_for_all_files(train: Train, tmp_path: Path) -> None:
    files = [part(tmp_path / f"{user}.jsonl", user) for user in ("u0", "u1")]
    write_tombstones({digest_of("u0"): NOW}, tmp_path / "named.json")
    assert train("--events", files[0], "--events", files[1], "--erased", tmp_path / "named.json").split.full.users == (
        "u1",
    )


def test_events_of_a_session_go_with_the_session_and_with_its_user(train: Train, tmp_path: Path) -> None:
    events = part(tmp_path / "events.parquet", "u0", recorded_as="visit")
    others = part(tmp_path / "others.parquet", "u1", recorded_as="phone")
    more = part(tmp_path / "more.parquet", "u2")
    write_tombstones({digest_of("visit"): NOW, digest_of("u1"): NOW}, tombstones_beside(events))
    prepared = train("--events", events, "--events", others, "--events", more)
    assert prepared.split.full.users == ("u2",)


@pytest.mark.parametrize("form", ["milliseconds", "timestamps", "text"])
def test_when_an_event_came_is_understood_in_every_form(train: Train, tmp_path: Path, form: str) -> None:
    """An event that came by the erasure stays out, though its own time is later; one that came after it is kept."""
    moments = {"u0": 1_600_000_000_000, "u1": 1_600_000_000_500, "u2": 1_600_000_000_501}
    forms: dict[str, Callable[[int], object]] = {
        "milliseconds": lambda moment: moment,
        "timestamps": lambda moment: pa.scalar(moment * 1_000, pa.timestamp("us", "UTC")),
        "text": lambda moment: f"2020-09-13T14:26:40.{moment % 1_000:03}+02:00",
    }
    files = [
        part(tmp_path / f"{user}.parquet", user, recorded_at=forms[form](moment)) for user, moment in moments.items()
    ]
    write_tombstones({digest_of(user): 1_600_000_000_500 for user in moments}, tombstones_beside(files[0]))
    prepared = train(*(word for file in files for word in ("--events", file)))
    assert prepared.split.full.users == ("u2",)


def test_a_user_who_came_back_is_known_by_what_came_after(train: Train, tmp_path: Path) -> None:
    """The ids were forgotten with the user, so what comes after the erasure may have an id of before."""
    before = part(tmp_path / "before.parquet", "u0", recorded_at=1)
    after = part(tmp_path / "after.parquet", "u0", recorded_at=3)
    write_tombstones({digest_of("u0"): 2}, tombstones_beside(after))
    prepared = train("--events", before, "--events", after)
    assert len(prepared.split.full) == EVENTS_OF_ONE
    assert prepared.erased == EVENTS_OF_ONE


def test_of_two_tombstones_of_one_user_the_last_counts(train: Train, tmp_path: Path) -> None:
    events = part(tmp_path / "events.parquet", "u0", "u1")
    rows = [{"sha256": digest_of("u0"), "erased_at": at} for at in (1, NOW, 2)]
    tombstones_beside(events).write_text(json.dumps(rows))
    assert train("--events", events).split.full.users == ("u1",)


def test_a_resumed_run_does_not_go_on_with_what_was_learned_of_them(
    files: tuple[Path, Path], train: Train, tmp_path: Path
) -> None:
    """The workspace of an interrupted run is that of its tombstones too."""
    assert "u1" in train("--events", files[1]).split.train.users
    write_tombstones({digest_of("u1"): NOW}, tombstones_beside(files[1]))
    assert "u1" not in train("--events", files[1], "--resume").split.train.users
    assert len(list((tmp_path / "bundles" / ".training").iterdir())) == 2


def test_their_words_are_not_published_by_a_warm_start(files: tuple[Path, Path], train: Train, tmp_path: Path) -> None:
    """A word that MIN_PEOPLE people typed is known to the spelling; with one of them erased it is nobody's."""
    events = world.event_table().to_pylist()
    people = [f"u{number}" for number in range(MIN_PEOPLE)]
    for row in events:
        row["query"] = "wigwam" if row["user_id"] in people else row["query"]
    write_events(pa.Table.from_pylist(events, world.event_table().schema), files[1])
    bundles = tmp_path / "first"
    run(files[0], files[1], bundles, load_recipe("small", world.TINY), resume=False)
    first = current_bundle(bundles)
    assert open_bundle(first).typed_words.people["wigwam"] == MIN_PEOPLE
    write_tombstones({digest_of("u1"): NOW}, tombstones_beside(files[1]))
    prepared = train("--events", files[1], "--warm-start", first)
    assert "u1" not in prepared.split.train.users
    assert "wigwam" not in typed_words(prepared.split.train).people


def test_an_import_leaves_them_out_and_takes_their_tombstones_along(
    files: tuple[Path, Path], train: Train, tmp_path: Path
) -> None:
    imported = tmp_path / "imported"
    write_tombstones({digest_of("u1"): NOW}, tombstones_beside(files[1]))
    for known in ("u1", "u2"):
        write_tombstones({digest_of(known): NOW}, tombstones_beside(files[1]))
        assert import_data(["jsonl", str(files[1].parent), str(imported)]) == 0
    older = part(tmp_path / "older.parquet", "u1", "u2", "u3")
    prepared = train("--events", imported / "events.parquet", "--events", older)
    assert not {"u1", "u2"} & set(prepared.split.full.users)


def test_a_table_of_methods_is_not_completed_from_runs_that_knew_them(files: tuple[Path, Path], tmp_path: Path) -> None:
    wanted = Run("gems", "seed-0", 0, load_recipe("small", world.TINY), *files, tmp_path / "runs", None, 0)
    before = wanted.fingerprint()
    write_tombstones({digest_of("u1"): NOW}, tombstones_beside(files[1]))
    assert wanted.fingerprint() != before


def test_a_file_of_tombstones_that_is_none_stops_the_run(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--items", str(files[0]), "--events", str(files[1]), "--out", str(tmp_path / "b"), *world.TINY]
    assert program.main([*command, "--erased", str(tmp_path / "gone.json")]) == 2
    assert "gone.json" in capsys.readouterr().err
    tombstones_beside(files[1]).write_text("[7]")
    assert program.main(command) == 2
    assert "events.erased.json" in capsys.readouterr().err
    assert not list((tmp_path / "b").glob("2*"))
