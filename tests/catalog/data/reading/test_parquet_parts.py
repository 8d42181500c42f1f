"""Tables that came as a folder of Parquet files."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from catalog.data.events import read_events
from catalog.data.items import load_items, read_items
from catalog.errors import EventsError, ItemsError
from catalog.importers.__main__ import main

NOON = 1_763_640_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """As Spark writes a table."""
    folder = tmp_path / "items.parquet"
    folder.mkdir()
    for number, ids in enumerate((["a", "b"], ["c"], [])):
        table = pa.table({"item_id": pa.array(ids, pa.string()), "title": pa.array(["Tent"] * len(ids), pa.string())})
        pq.write_table(table, folder / f"part-0000{number}-7f-c000.snappy.parquet")
        (folder / f".part-0000{number}-7f-c000.snappy.parquet.crc").write_bytes(b"crc")
    (folder / "_SUCCESS").touch()
    return folder


def test_the_rows_of_all_parts_are_read_in_the_order_of_their_names(folder: Path) -> None:
    assert read_items(folder)["item_id"].to_pylist() == ["a", "b", "c"]


def test_a_broken_row_is_shown_with_its_number_among_all(folder: Path) -> None:
    pq.write_table(pa.table({"item_id": ["d", "a"], "title": ["Rope", "Again"]}), folder / "part-00003.parquet")
    table, report = load_items(folder)
    assert table["item_id"].to_pylist() == ["a", "b", "c", "d"]
    assert "row 5: item_id='a'" in str(report)


def test_a_column_that_some_parts_lack_or_have_of_another_width_is_joined(folder: Path) -> None:
    further = {"year": pa.array([2025], pa.int16()), "brand": pa.nulls(1)}
    pq.write_table(pa.table({"item_id": ["d"], **further}), folder / "part-00003.parquet")
    pq.write_table(pa.table({"item_id": ["e"], "year": [2026], "brand": ["Norrvik"]}), folder / "part-00004.parquet")
    table = read_items(folder)
    assert table["year"].to_pylist() == [None, None, None, 2025, 2026]
    assert table["brand"].to_pylist() == [None] * 4 + ["Norrvik"]


def test_the_import_reads_folders_too(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    events = folder.parent / "events.parquet"
    events.mkdir()
    for number, item in enumerate("abcx"):
        row = {"user_id": [number], "item_id": [item], "timestamp": [NOON], "type": ["view"]}
        pq.write_table(pa.table(row), events / f"{number}.parquet")
    assert main(["jsonl", str(folder.parent), str(folder.parent / "out")]) == 0
    assert "events: 4 read, 3 kept" in capsys.readouterr().out
    assert len(read_events(folder.parent / "out" / "events.parquet")[0]) == 3


def test_what_no_table_is_made_of_is_refused_by_name(folder: Path) -> None:
    (folder / "dt=2025-11-20").mkdir()
    with pytest.raises(ItemsError, match=r"items\.parquet: .*'dt=2025-11-20', and only files are read"):
        read_items(folder)
    (folder / "dt=2025-11-20").rmdir()
    pq.write_table(pa.table({"item_id": ["d"], "title": [7]}), folder / "part-00003.parquet")
    with pytest.raises(ItemsError, match=r"items\.parquet: not a readable Parquet file .*title"):
        read_items(folder)
    (folder / "part-00003.parquet").write_bytes(b"PAR1")
    with pytest.raises(ItemsError, match=r"items\.parquet: not a readable Parquet file"):
        read_items(folder)
    for entry in folder.iterdir():
        entry.unlink()
    with pytest.raises(ItemsError, match=r"has no file that ends in \.parquet"):
        read_items(folder)


def test_a_folder_of_lines_is_not_called_missing(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").mkdir()
    with pytest.raises(EventsError, match=r"events\.jsonl: is a folder: join its files into one"):
        read_events(tmp_path / "events.jsonl")
