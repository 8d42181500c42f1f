"""Tombstones leave out what came before them."""

from pathlib import Path

import orjson
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.data.events import write_events
from catalog.data.tombstones import (
    ERASED,
    digest_of,
    drop_erased,
    read_kept_events,
    read_tombstones,
    tombstone_files,
    tombstones_beside,
    write_tombstones,
)
from catalog.errors import EventsError

USERS = ["ada", "bob", "Ω"]
ROWS = st.lists(st.tuples(st.sampled_from(USERS), st.integers(0, 9), st.none() | st.integers(0, 9)), max_size=30)


def table(rows: list[tuple[str, int, int | None]]) -> pa.Table:
    users, times, recorded = zip(*rows, strict=True) if rows else ((), (), ())
    return pa.table(
        {
            "user_id": pa.array(users, pa.string()),
            "item_id": pa.array([str(n) for n in range(len(rows))], pa.string()),
            "timestamp": pa.array(times, pa.int64()),
            "type": pa.array(["view"] * len(rows), pa.string()),
            "recorded_at": pa.array(recorded, pa.int64()),
        }
    )


@given(ROWS, st.dictionaries(st.sampled_from(USERS), st.integers(0, 9)))
def test_what_came_before_an_erasure_goes_and_the_rest_stays_in_order(
    rows: list[tuple[str, int, int | None]], erased: dict[str, int]
) -> None:
    kept = drop_erased(table(rows), {digest_of(user): at for user, at in erased.items()})
    came = [time if recorded is None else recorded for _, time, recorded in rows]
    expected = [n for n, (user, _, _) in enumerate(rows) if came[n] > erased.get(user, -1)]
    assert kept["item_id"].to_pylist() == [str(n) for n in expected]


def test_without_the_time_of_recording_the_events_own_time_counts() -> None:
    events = table([("ada", 1, None), ("ada", 3, None), ("bob", 1, None)]).drop_columns(["recorded_at"])
    assert drop_erased(events, {digest_of("ada"): 2})["item_id"].to_pylist() == ["1", "2"]


def test_tombstones_are_read_as_they_were_written(tmp_path: Path) -> None:
    tombstones = {digest_of(user): at for at, user in enumerate(USERS)}
    write_tombstones(tombstones, tmp_path / "x.erased.json")
    assert read_tombstones(tmp_path / "x.erased.json") == tombstones
    assert [path.name for path in tmp_path.iterdir()] == ["x.erased.json"]
    assert "ada" not in (tmp_path / "x.erased.json").read_text()


@pytest.mark.parametrize(
    "content", [b"", b"{", b"7", b'["ada"]', b'[{"sha256":"ada","erased_at":1}]', b'[{"sha256":7}]']
)
def test_a_file_of_something_else_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "e.json").write_bytes(content)
    with pytest.raises(EventsError, match=r"e\.json"):
        read_tombstones(tmp_path / "e.json")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(EventsError, match="gone"):
        read_tombstones(tmp_path / "gone.json")
    with pytest.raises(EventsError, match="gone"):
        tombstone_files([tmp_path / "events.parquet"], tmp_path / "gone.json")


def test_files_beside_and_named_both_count(tmp_path: Path) -> None:
    events = tmp_path / "events.parquet"
    write_events(table([("ada", 1, None), ("bob", 1, None), ("Ω", 1, None)]), events)
    assert tombstone_files([events]) == []
    named = tmp_path / "named.json"
    write_tombstones({digest_of("ada"): 1}, tombstones_beside(events))
    write_tombstones({digest_of("bob"): 1}, named)
    files = tombstone_files([events], named)
    assert files == [tmp_path / "events.erased.json", named]
    assert tombstone_files([events], files[0]) == files[:1]
    kept, report = read_kept_events([events], files)
    assert kept["user_id"].to_pylist() == ["Ω"]
    assert (report.omissions[ERASED].count, report.broken) == (2, 0)
    assert orjson.loads(files[0].read_bytes()) == [{"sha256": digest_of("ada"), "erased_at": 1}]


def test_tombstones_beside_a_link_and_beside_what_it_leads_to_both_count(tmp_path: Path) -> None:
    older = tmp_path / "older.parquet"
    write_events(table([(user, 1, None) for user in USERS]), older)
    (tmp_path / "store").mkdir()
    (tmp_path / "t").mkdir()
    hop, link = tmp_path / "store" / "hop.parquet", tmp_path / "t" / "link.parquet"
    hop.symlink_to("../older.parquet")
    link.symlink_to("../store/hop.parquet")
    write_tombstones({digest_of("ada"): 1}, tombstones_beside(older))
    assert tombstone_files([link])[0].samefile(tombstones_beside(older))
    write_tombstones({digest_of("bob"): 1}, tombstones_beside(link))
    assert read_kept_events([link], tombstone_files([link]))[0]["user_id"].to_pylist() == ["Ω"]
    write_tombstones({digest_of("Ω"): 1}, tombstones_beside(hop))
    assert len(read_kept_events([link], tombstone_files([link]))[0]) == 0


@pytest.mark.parametrize("instead", ["nowhere.json", "events.erased.json", None])
def test_tombstones_that_are_a_link_to_nowhere_are_refused(tmp_path: Path, instead: str | None) -> None:
    """A link to a file that was moved away, to itself, and a folder."""
    events = tmp_path / "events.parquet"
    write_events(table([("ada", 1, None)]), events)
    tombstones = tombstones_beside(events)
    tombstones.mkdir() if instead is None else tombstones.symlink_to(instead)
    with pytest.raises(EventsError, match=r"events\.erased\.json: is no file, or a link that leads to none"):
        tombstone_files([events])


@pytest.mark.parametrize("further", ["events.parquet", "../folder/events.parquet"])
def test_events_that_are_a_link_to_themselves_have_no_tombstones(tmp_path: Path, further: str) -> None:
    (tmp_path / "folder").mkdir()
    events = tmp_path / "folder" / "events.parquet"
    events.symlink_to(further)
    assert tombstone_files([events]) == []
