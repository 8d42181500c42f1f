"""Events that are trained on may lie in several files, and name items that are not for sale yet."""

from pathlib import Path

import pyarrow as pa
import pytest

from catalog.data.events import write_events
from tests.support import world
from tests.trainer.data.conftest import Train, part
from trainer import run as program

EVENTS_OF_ONE = len(world.COLOURS)


def test_several_files_are_merged_and_an_event_in_two_of_them_counts_once(train: Train, tmp_path: Path) -> None:
    both = [part(tmp_path / "a.parquet", "u0", "u1"), part(tmp_path / "b.jsonl", "u1", "u2", note="more")]
    prepared = train("--events", both[0], "--events", both[1])
    together = train("--events", part(tmp_path / "c.parquet", "u0", "u1", "u2"))
    assert prepared.split.full.users == ("u0", "u1", "u2")
    assert prepared.split.full.items_E.tolist() == together.split.full.items_E.tolist()
    assert prepared.split.full.times_E.tolist() == together.split.full.times_E.tolist()


def test_the_order_of_one_moment_does_not_depend_on_the_order_of_the_files(train: Train, tmp_path: Path) -> None:
    files = []
    for colour in ("red", "blue", "green", "black"):
        rows = [{"user_id": f"u{n}", "item_id": f"tent-{colour}", "timestamp": 1_000, "type": "view"} for n in range(9)]
        files.append(tmp_path / f"{colour}.parquet")
        write_events(pa.Table.from_pylist(rows), files[-1])
    found = []
    for order in (files, files[::-1]):
        prepared = train(*[part for file in order for part in ("--events", file)])
        full = prepared.split.full
        orders = {full.users[u]: [prepared.items.ids[i] for i in full.items_E[full.span(u)]] for u in range(9)}
        assert len(set(map(tuple, orders.values()))) > 3  # people differ
        found.append(orders)
    assert found[0] == found[1]


def test_broken_rows_name_their_file(train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sound = part(tmp_path / "a.parquet", "u0")
    (tmp_path / "b.jsonl").write_text(
        '{"user_id": "u1", "item_id": "tent-red", "timestamp": 1700000000000, "type": "buy"}'
    )
    train("--events", sound, "--events", tmp_path / "b.jsonl")
    assert "b.jsonl line 1: user_id='u1', item_id='tent-red', type='buy'" in capsys.readouterr().out


def test_a_file_is_named_once(files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["--items", str(files[0]), "--events", str(files[1]), "--events", str(files[1])]
    assert program.main([*command, "--out", str(tmp_path / "b"), *world.TINY]) == 2
    assert "is named twice" in capsys.readouterr().err


def test_events_of_items_that_are_not_known_are_left_out_and_told(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    events = part(tmp_path / "events.parquet", "u0", "u1")
    strange = part(tmp_path / "strange.parquet", "u2", sort="unknown")
    table = world.event_table(3).slice(2 * EVENTS_OF_ONE)
    write_events(table.set_column(1, "item_id", pa.array(["not-yet"] * len(table))), strange)
    assert len(train("--events", events, "--events", strange).split.full) == 2 * EVENTS_OF_ONE
    told = capsys.readouterr().out
    assert f"{EVENTS_OF_ONE} × unknown item (left out by choice)" in told
    assert "not-yet" in told
