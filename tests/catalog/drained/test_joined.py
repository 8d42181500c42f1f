"""What arguments for files of events name, and the one file that is made of a drained folder."""

import os
from datetime import date
from pathlib import Path

import orjson
import pyarrow.parquet as pq
import pytest

from catalog.data.tombstones import read_tombstones, tombstones_beside, write_tombstones
from catalog.drained import (
    TOMBSTONES,
    event_files,
    hidden,
    joined_files,
    names_several,
    parts_of,
    scratch_folder,
    write_aliases,
)
from catalog.errors import EventsError
from server.cli.drain.folder import open_folder
from server.cli.drain.state import State
from server.cli.export_events import People, Row
from trainer.distributed.group import SINGLE_PROCESS
from trainer.runtime.joined_events import joined_events

DAY = 86_400_000


def row(number: int, user: str, day: int) -> Row:
    at = day * DAY + number // 2
    return Row(1_000 - number % 3, at, number % 2, user, f"i{number}", "view", None, f"e{number}", None)


@pytest.fixture
def drained(tmp_path: Path) -> Path:
    """12 events of two buckets on two days, one of them of a session."""
    root = tmp_path / "drained"
    with open_folder(root) as folder:
        folder.write(State.new(None, 2, 0))
        for day in (1, 2):
            assert folder.state is not None
            users = {"2.0": "ada", "2.1": "visit" if day == 1 else "bob"}
            rows = {tag: [row(3 * day + n, user, day) for n in range(3)] for tag, user in users.items()}
            folder.append(rows, folder.state)
    write_aliases(root, {"visit": "phone", "phone": "bob"})
    write_tombstones({"0" * 64: 5}, root / TOMBSTONES)
    return root


def events(file: Path) -> list[tuple[str, str | None, str]]:
    return [(row["user_id"], row["recorded_as"], row["event_id"]) for row in pq.read_table(file).to_pylist()]


def test_rows_are_in_the_order_of_an_export_and_sessions_are_their_users(drained: Path, tmp_path: Path) -> None:
    (file,) = joined_files([drained], tmp_path)
    assert file == tmp_path / "events-1.parquet"
    found = pq.read_table(file)
    order = list(zip(found["timestamp"].to_pylist(), found["recorded_at"].to_pylist(), strict=True))
    assert order == sorted(order)
    assert len(found) == 12
    assert {found for found in events(file) if found[1] is not None} == {("bob", "visit", f"e{n}") for n in (3, 4, 5)}
    of_one_moment = [user for user, _, event in events(file) if event == "e3"]
    assert of_one_moment == ["ada", "bob"]  # the lower bucket's first
    assert read_tombstones(tombstones_beside(file)) == {"0" * 64: 5}


def test_arguments_may_be_folders_days_parts_patterns_and_files(drained: Path, tmp_path: Path) -> None:
    plain = tmp_path / "older.parquet"
    plain.write_bytes(b"")
    days = sorted(drained.glob("day=*"))
    assert not names_several([plain])
    with event_files([plain]) as same:
        assert same == [plain]
    for named, count in (
        ([drained], 12),
        ([days[0]], 6),
        ([drained / "day=1970-01-0*"], 12),
        ([drained / "day=1970-01-02", drained / "day=*" / "bucket=2.1"], 9),
        ([parts_of(drained)[0]], 3),
    ):
        assert names_several(named)
        with event_files([plain, *named]) as (first, joined):
            assert first == plain
            assert len(pq.read_table(joined)) == count
    with event_files([tmp_path / "old*.parquet"]) as found:
        assert found == [plain]


def test_what_is_not_there_is_an_error(drained: Path, tmp_path: Path) -> None:
    with pytest.raises(EventsError, match="nothing fits"):
        joined_files([drained / "day=2020-*"], tmp_path)
    with pytest.raises(EventsError, match="no part of the drained folder"):
        joined_files([drained / "day=2020-01-01"], tmp_path)
    part = parts_of(drained)[0]
    part.write_bytes(part.read_bytes()[:100])
    with pytest.raises(EventsError, match="cannot be read to its end"):
        joined_files([drained], tmp_path)
    (drained / "_drain.json").write_text("{")
    with pytest.raises(EventsError, match="cannot be read"):
        joined_files([drained], tmp_path)


def test_a_folder_without_events_is_a_file_without(tmp_path: Path) -> None:
    with open_folder(tmp_path / "drained") as folder:
        folder.write(State.new(None, 2, 0))
    (file,) = joined_files([tmp_path / "drained"], tmp_path)
    assert len(pq.read_table(file)) == 0


def test_the_file_is_the_same_whatever_parts_were_joined_to(drained: Path, tmp_path: Path) -> None:
    for name in ("before", "after"):
        (tmp_path / name).mkdir()
    (before,) = joined_files([drained], tmp_path / "before")
    with open_folder(drained) as folder:
        assert folder.state is not None
        folder.append({"2.0": [row(100, "ada", 1)]}, folder.state)
        for _ in folder.tidying(People({}, {}), date(2020, 1, 1)):
            pass
        assert len(parts_of(drained)) == 4
        more = joined_files([drained], tmp_path)
        assert len(pq.read_table(more[0])) == 13
    (after,) = joined_files([drained / "day=1970-01-03"], tmp_path / "after")
    assert events(after) == [one for one in events(before) if one[2] in {"e6", "e7", "e8"}]


def test_what_a_broken_write_left_counts_once(drained: Path) -> None:
    """Before the drafts are renamed the old parts count, and afterwards the new ones, whichever are left."""
    state = orjson.loads((drained / "_drain.json").read_bytes())
    old = parts_of(drained)
    made = old[0].with_name("0000000009.parquet")
    hidden(made).write_bytes(old[0].read_bytes())
    names = {"parts": [str(made.relative_to(drained))], "removed": [str(old[0].relative_to(drained))]}
    (drained / "_drain.json").write_bytes(orjson.dumps(state | names))
    assert parts_of(drained) == old
    hidden(made).rename(made)
    assert parts_of(drained) == sorted({made, *old} - {old[0]})
    with open_folder(drained):
        assert not old[0].exists()
    assert parts_of(drained) == sorted({made, *old} - {old[0]})


def test_a_run_joins_beside_its_workspaces_and_cleans_up(drained: Path, tmp_path: Path) -> None:
    out = tmp_path / "bundles"
    with joined_events([drained], out, SINGLE_PROCESS) as (file,):
        assert len(pq.read_table(file)) == 12
        assert out in file.parents
    assert not list((out / ".training").iterdir())
    missing = joined_events(drained / "other.parquet", out, SINGLE_PROCESS)
    with pytest.raises(EventsError, match="no part"), missing:
        pass


def test_what_a_killed_run_left_goes(tmp_path: Path) -> None:
    left = os.fork()
    if left == 0:
        with scratch_folder(tmp_path) as folder:
            (folder / "events-1.parquet").write_bytes(b"1")
            os._exit(0)
    os.waitpid(left, 0)
    assert len(list(tmp_path.iterdir())) == 1
    with scratch_folder(tmp_path) as folder:
        assert list(tmp_path.iterdir()) == [folder]
