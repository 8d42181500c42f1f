"""A shop's own files, in either format."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from catalog.data.items import read_items, write_items
from catalog.data.tombstones import digest_of, read_tombstones, write_tombstones
from catalog.errors import DatasetError, ItemsError
from catalog.importers.dataset import write_dataset
from catalog.importers.jsonl import read_jsonl

ITEMS = [{"item_id": 1, "title": "Tent", "year": 2024}, {"item_id": 2}, {"item_id": 2, "title": "again"}]
EVENTS = [
    {"user_id": "b", "item_id": 1, "timestamp": 1_700_000_000_000, "type": "view"},
    {"user_id": "a", "item_id": 2, "timestamp": 1_700_000_000_000, "type": "click", "query": "tent"},
    {"user_id": "a", "item_id": 3, "timestamp": 1_700_000_000_000, "type": "view"},
]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for name, rows in (("items", ITEMS), ("events", EVENTS)):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return tmp_path


def test_sound_records_are_kept_and_the_others_counted(source):
    dataset = read_jsonl(source)
    assert dataset.items["item_id"].to_pylist() == ["1", "2"]
    assert dataset.items["year"].to_pylist() == [2024, None]
    assert dataset.events["user_id"].to_pylist() == ["a", "b"]
    assert dataset.broken == 2
    assert "duplicate item_id" in str(dataset)
    assert "item_id='3', user_id='a'" in str(dataset)


def test_parquet_is_accepted_too(source):
    (source / "items.jsonl").write_text("\n".join(map(json.dumps, ITEMS[:2])))
    write_items(read_items(source / "items.jsonl"), source / "items.parquet")
    with pytest.raises(DatasetError, match=r"both items\.jsonl and items\.parquet are there"):
        read_jsonl(source)
    (source / "items.jsonl").unlink()
    assert read_jsonl(source).items["title"].to_pylist() == ["Tent", None]


def test_a_missing_file_is_named(source):
    (source / "events.jsonl").unlink()
    with pytest.raises(DatasetError, match=r"expected a file events\.jsonl or events\.parquet"):
        read_jsonl(source)


def test_a_file_that_cannot_be_used_is_refused(source):
    (source / "items.jsonl").write_text('{"name": "Tent"}')
    with pytest.raises(ItemsError, match="the column 'item_id' is missing; the columns are: name"):
        read_jsonl(source)


def test_nothing_sound_is_an_error(source):
    (source / "events.jsonl").write_text(json.dumps(EVENTS[2]))
    with pytest.raises(DatasetError, match="no sound events to import"):
        read_jsonl(source)


def test_erased_users_go_along_from_behind_links_on_both_sides(source, tmp_path):
    (tmp_path / "shop").mkdir()
    (source / "items.jsonl").rename(tmp_path / "shop" / "items.jsonl")
    (tmp_path / "shop" / "events.jsonl").symlink_to("../events.jsonl")
    write_tombstones({digest_of("a"): 1_800_000_000_000}, source / "events.erased.json")
    destination = tmp_path / "data"
    destination.mkdir()
    (destination / "events.parquet").symlink_to("../older.parquet")
    write_tombstones({digest_of("c"): 1}, tmp_path / "older.erased.json")
    dataset = read_jsonl(tmp_path / "shop")
    assert dataset.events["user_id"].to_pylist() == ["b"]
    write_dataset(dataset, destination)
    assert read_tombstones(destination / "events.erased.json").keys() == {digest_of("a"), digest_of("c")}


@pytest.mark.parametrize("suffix", [".jsonl.gz", ".ndjson", ".json", ".jsonl.zst", ".json.bz2", ".jsonl.xz"])
def test_any_usual_name_is_found_and_its_tombstones_too(source, suffix):
    (source / "items.jsonl").rename(source / f"items{suffix}")
    (source / "events.jsonl").rename(source / f"events{suffix}")
    write_tombstones({digest_of("a"): 1_800_000_000_000}, source / "events.erased.json")
    assert read_jsonl(source).events["user_id"].to_pylist() == ["b"]


@pytest.mark.parametrize("form", ["jsonl", "json", "parquet"])
def test_an_import_that_loses_most_events_shows_one_as_it_stands_there(source, form):
    """Ids of other items than those of the catalog are the usual reason."""
    event = EVENTS[0] | {"shelf": "Größe 7"}
    rows = [event, *(event | {"item_id": f"shop/{n}"} for n in range(9))]
    (source / "events.jsonl").unlink()
    if form == "parquet":
        pq.write_table(
            pa.Table.from_pylist([row | {"item_id": str(row["item_id"])} for row in rows]), source / "events.parquet"
        )
    else:
        texts = [json.dumps(row, ensure_ascii=False) for row in rows]
        (source / f"events.{form}").write_text("\n".join(texts) if form == "jsonl" else f"[{', '.join(texts)}]")
    with pytest.raises(DatasetError, match=r"9 of 10 events \(90\.0%\) are lost") as refused:
        read_jsonl(source)
    last = str(refused.value).split("as it stands there: ")[1].split("\n")[0]
    assert "shop/0" in last
    assert "Größe 7" in last
