"""Names of columns that answers would hide, or that no request could write."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from catalog.data.columns.names import RESERVED_NAMES, kept_name
from catalog.data.events import read_events
from catalog.data.items import ITEMS_SCHEMA, Items, load_items, read_items
from catalog.errors import ItemsError
from catalog.filters import parse
from catalog.importers.__main__ import main
from server.api.schemas.queries.answers import ShownItemBody


def test_whatever_answers_put_beside_columns_is_reserved() -> None:
    assert set(ShownItemBody.model_fields) - set(ITEMS_SCHEMA.columns.names) <= set(RESERVED_NAMES)


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("score", "score_"),
        ("id", "id_"),
        ("reason", "reason_"),
        ("matched", "matched_"),
        ("relevance", "relevance_"),
        ("explanation", "explanation_"),
        ("__index_level_0__", "index_level_0"),
        ("__index_level_12__", "index_level_12"),
        ("@line", "line"),
        ("@score", "score_"),
        ("", "_"),
        ("@", "_"),
        ("price, net", "price net"),
        (" size\n", "size"),
        ("Score", "Score"),
        ("__v", "__v"),
        ("größe", "größe"),
    ],
)
def test_a_column_keeps_a_name_that_is_its_own(tmp_path: Path, name: str, kept: str) -> None:
    path = tmp_path / "items.parquet"
    pq.write_table(pa.table({"item_id": ["a", "b"], name: [1, 2]}), path)
    table, report = load_items(path)
    assert table.column_names == [*ITEMS_SCHEMA.columns.names, kept]
    assert parse(f"`{kept}` = 2").mask(Items(table)).tolist() == [False, True]
    assert len(report.notes) == (name != kept)
    for note in report.notes:
        assert repr(name) in note
        assert repr(kept) in note
        assert all(reserved in note for reserved in RESERVED_NAMES)


def test_no_other_column_loses_its_name() -> None:
    assert kept_name("score", {"score", "score_", "score__"}) == "score___"
    assert kept_name("score_", {"score", "score_"}) == "score_"


def test_lines_of_json_keep_the_same_names(tmp_path: Path) -> None:
    row = {"item_id": "a", "score": 4.5, "score_": 1.5, "@line": "x", "__index_level_0__": 7}
    (tmp_path / "items.jsonl").write_text(json.dumps(row))
    (record,) = (
        load_items(tmp_path / "items.jsonl")[0].select(["score__", "score_", "line", "index_level_0"]).to_pylist()
    )
    assert record == {"score__": 4.5, "score_": 1.5, "line": "x", "index_level_0": 7}


@pytest.mark.parametrize("name", ["title", "score", "price", "@line", "colour"])
def test_two_columns_of_one_name_are_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "items.parquet"
    pq.write_table(pa.Table.from_arrays([pa.array(["a"])] * 3, names=["item_id", name, name]), path)
    with pytest.raises(ItemsError, match=rf"items\.parquet: several columns are named '{name}'"):
        load_items(path)


def test_columns_of_events_are_not_hidden_by_reports(tmp_path: Path) -> None:
    event = {"user_id": ["u"], "item_id": ["i"], "timestamp": [1_763_640_000_000], "type": ["view"]}
    pq.write_table(pa.table(event | {"@timestamp": ["2025"], "score": [1]}), tmp_path / "events.parquet")
    (row,) = read_events(tmp_path / "events.parquet", strict=True)[0].to_pylist()
    assert (row["timestamp_"], row["score"]) == ("2025", 1)


def test_whoever_imports_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    items = {"item_id": "a", "reason": "gift", "id": 7}
    event = {"user_id": "u", "item_id": "a", "timestamp": 1_763_640_000_000, "type": "view"}
    for name, row in (("items", items), ("events", event)):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(row))
    assert main(["jsonl", str(tmp_path), str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "note: the column 'reason' is kept as 'reason_'; reserved are explanation, highlights, id" in said
    assert "note: the column 'id' is kept as 'id_'" in said
    notes: list[str] = []
    assert read_items(tmp_path / "items.jsonl", notes)["id_"].to_pylist() == [7]
    assert len(notes) == 2
