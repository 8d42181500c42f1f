"""Items files as people really have them, and what is said about the broken ones."""

import json
import math
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.data.items import Items, item_text, load_items, read_items, write_items
from catalog.errors import ItemsError

FilePath = Callable[..., Path]


@pytest.fixture
def jsonl(tmp_path: Path) -> FilePath:
    """Writes its arguments, one a line (dicts as JSON), and returns the path."""

    def write(*rows: Any) -> Path:
        path = tmp_path / "items.jsonl"
        path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows) + "\n")
        return path

    return write


def parquet(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path / "items.parquet")
    return path / "items.parquet"


def test_a_full_record_comes_back_as_it_was(jsonl):
    row = {
        "item_id": "a",
        "title": "Tent",
        "description": "Dry.",
        "brand": "Norrvik",
        "categories": ["Camping", "Tents"],
        "price": 199.0,
        "available": False,
    }
    assert read_items(jsonl(row)).to_pylist() == [row]


def test_only_the_identifier_is_required(jsonl):
    assert read_items(jsonl({"item_id": "a"})).to_pylist() == [
        {
            "item_id": "a",
            "title": None,
            "description": None,
            "brand": None,
            "categories": [],
            "price": None,
            "available": True,
        }
    ]


def test_integers_as_identifiers_become_strings(jsonl, tmp_path):
    assert read_items(jsonl({"item_id": 7}, {"item_id": "8"}))["item_id"].to_pylist() == ["7", "8"]
    assert read_items(parquet(tmp_path, item_id=pa.array([7, 8])))["item_id"].to_pylist() == ["7", "8"]


def test_further_columns_of_scalars_and_lists_of_strings_are_kept(jsonl):
    rows = [{"item_id": "a", "year": 1999, "tags": ["x"], "rating": None}, {"item_id": "b", "tags": []}]
    table = read_items(jsonl(*rows))
    assert table.column_names[-3:] == ["year", "tags", "rating"]
    assert table["year"].to_pylist() == [1999, None]
    assert table["tags"].to_pylist() == [["x"], []]


def test_blank_lines_are_no_records(jsonl):
    assert len(read_items(jsonl({"item_id": "a"}, "", "   ", {"item_id": "b"}))) == 2


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"item_id": "a"}, "duplicate item_id"),
        ({"item_id": 1.5}, "item_id that is no string"),
        ({"title": "nameless"}, "missing item_id"),
        ({"item_id": ""}, "missing item_id"),
        ({"item_id": "b", "title": 5}, "title that is no string"),
        ({"item_id": "b", "price": "9.99"}, "price that is no number"),
        ({"item_id": "b", "price": True}, "price that is no number"),
        ({"item_id": "b", "price": -1}, "price below zero"),
        ({"item_id": "b", "categories": "Tents"}, "categories that is no list of strings"),
        ({"item_id": "b", "categories": [1]}, "categories that is no list of strings"),
        ({"item_id": "b", "available": "yes"}, "available that is no true or false"),
        ("{not json", "line that is not JSON"),
        ("[1, 2]", "line that is not a JSON object"),
    ],
)
def test_a_broken_record_is_refused_and_named(jsonl, row, said):
    path = jsonl({"item_id": "a"}, row)
    with pytest.raises(ItemsError) as refused:
        read_items(path)
    assert str(path) in str(refused.value)
    assert said in str(refused.value)
    assert "line 2" in str(refused.value)


def test_loading_keeps_the_sound_records_and_counts_the_others(jsonl):
    rows = [{"item_id": "a", "title": "first"}, {"item_id": "a", "title": "again"}, "{", {"item_id": "b", "price": "?"}]
    table, report = load_items(jsonl(*rows, {"item_id": "c"}))
    assert table["item_id"].to_pylist() == ["a", "c"]
    assert table["title"].to_pylist() == ["first", None]
    assert (report.read, report.kept, report.broken) == (5, 2, 3)


def test_a_record_with_two_faults_is_one_broken_record(jsonl):
    _, report = load_items(jsonl({"item_id": "a", "price": "?", "title": 3}, {"item_id": "b"}))
    assert (report.broken, report.kept) == (1, 1)


def test_no_more_than_three_examples_of_a_fault_are_shown(jsonl):
    _, report = load_items(jsonl(*({"item_id": f"i{n}", "price": "?"} for n in range(9)), {"item_id": "z"}))
    (tally,) = report.faults.values()
    assert (tally.count, len(tally.examples)) == (9, 3)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"title": pa.array(["x"])}, "the column 'item_id' is missing; the columns are: title"),
        ({"item_id": pa.array([True])}, "'item_id' is bool, it must be string"),
        ({"item_id": pa.array(["a"]), "price": pa.array(["9"])}, "'price' is string, it must be number"),
        ({"item_id": pa.array(["a"]), "categories": pa.array(["x"])}, "it must be list of strings"),
        ({"item_id": pa.array(["a"]), "available": pa.array([1])}, "it must be true or false"),
        ({"item_id": pa.array(["a"]), "images": pa.array([[{"url": "x"}]])}, "'images'"),
        ({"item_id": pa.array(["a"]), "vector": pa.array([[1.0]])}, "scalars or lists of strings"),
    ],
)
def test_a_column_of_a_wrong_type_makes_a_parquet_file_unusable(tmp_path, columns, said):
    with pytest.raises(ItemsError, match=said) as refused:
        load_items(parquet(tmp_path, **columns))
    assert "items.parquet" in str(refused.value)


def test_a_further_column_of_mixed_types_is_refused(jsonl):
    with pytest.raises(ItemsError, match="'size' mixes types"):
        read_items(jsonl({"item_id": "a", "size": 1}, {"item_id": "b", "size": "L"}))


def test_files_that_are_not_there_or_not_readable_are_named(tmp_path):
    with pytest.raises(ItemsError, match=r"nowhere\.jsonl: there is no such file"):
        read_items(tmp_path / "nowhere.jsonl")
    (tmp_path / "items.csv").write_text("item_id\na\n")
    with pytest.raises(ItemsError, match=r"must end in \.parquet or \.jsonl"):
        read_items(tmp_path / "items.csv")
    (tmp_path / "items.parquet").write_bytes(b"PAR1 but not really")
    with pytest.raises(ItemsError, match="not a readable Parquet file"):
        read_items(tmp_path / "items.parquet")


def test_other_arrow_types_with_the_same_meaning_are_accepted(tmp_path):
    path = parquet(
        tmp_path,
        item_id=pa.array(["a", "b"]).dictionary_encode(),
        title=pa.array(["x", None], pa.large_string()),
        price=pa.array([1, None], pa.decimal128(5, 2)),
        categories=pa.array([["u", None], None], pa.large_list(pa.large_string())),
        unknown=pa.nulls(2),
    )
    first, second = read_items(path).to_pylist()
    assert (first["item_id"], first["title"], first["price"]) == ("a", "x", 1.0)
    assert (first["categories"], second["categories"], second["unknown"]) == (["u"], [], None)
    assert not isinstance(first["price"], Decimal)


def test_a_price_that_is_nan_is_no_price(tmp_path):
    path = parquet(tmp_path, item_id=pa.array(["a", "b"]), price=pa.array(np.array([np.nan, 2.0])))
    assert read_items(path)["price"].to_pylist() == [None, 2.0]


words = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
records = st.fixed_dictionaries(
    {"item_id": words.filter(bool)},
    optional={
        "title": st.none() | words,
        "categories": st.lists(words, max_size=3),
        "price": st.none() | st.floats(0, 1e6),
        "available": st.booleans(),
        "extra": st.none() | words,
    },
)


@given(
    rows=st.lists(records, min_size=1, max_size=6, unique_by=lambda row: row["item_id"]),
    suffix=st.sampled_from([".jsonl", ".parquet"]),
)
def test_what_is_written_is_what_is_read(tmp_path_factory, rows, suffix):
    folder = tmp_path_factory.mktemp("items")
    (folder / "in.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    table = read_items(folder / "in.jsonl")
    write_items(table, folder / f"out{suffix}")
    assert read_items(folder / f"out{suffix}").to_pylist() == table.to_pylist()


def test_a_failed_write_leaves_the_file_that_was_there(tmp_path, monkeypatch):
    path = tmp_path / "items.parquet"
    write_items(pa.table({"item_id": ["old"]}), path)

    def fail(*_: Any, **__: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("catalog.data.tables.pq.write_table", fail)
    with pytest.raises(OSError, match="disk full"):
        write_items(pa.table({"item_id": ["new"]}), path)
    assert read_items(path)["item_id"].to_pylist() == ["old"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["items.parquet"]


@pytest.fixture
def items(jsonl) -> Items:
    rows = [{"item_id": "b", "title": "Tent", "year": 1999}, {"item_id": "a", "brand": "Norrvik"}]
    return Items(read_items(jsonl(*rows)))


def test_rows_are_found_by_identifier(items):
    assert len(items) == 2
    assert list(items.ids) == ["b", "a"]
    assert [items.row_of(item_id) for item_id in ("a", "b", "c")] == [1, 0, None]


def test_a_record_has_every_column(items):
    assert items.record(0)["year"] == 1999
    assert items.record(1)["brand"] == "Norrvik"


@pytest.mark.parametrize("row", [-1, 2])
def test_a_row_outside_the_table_is_an_index_error(items, row):
    with pytest.raises(IndexError, match=f"row {row} is outside the 2 items"):
        items.record(row)
    with pytest.raises(IndexError):
        items.title(row)


def test_an_item_without_a_title_is_called_by_its_identifier(items):
    assert [items.title(row) for row in range(2)] == ["Tent", "a"]


def test_texts_are_the_item_text_of_every_row(items):
    assert items.texts() == [item_text(items.record(row)) for row in range(2)] == ["Tent", "Norrvik"]


@pytest.mark.parametrize(
    ("record", "text"),
    [
        (
            {"item_id": "a", "title": "Tent", "brand": "N", "categories": ["C", "T"], "description": "Dry. Light."},
            "Tent. N. C, T. Dry. Light.",
        ),
        ({"item_id": "a", "title": "Vol.", "brand": "N"}, "Vol. N"),
        ({"item_id": "a", "title": "  ", "brand": "", "categories": [], "description": None}, "a"),
        ({"item_id": "a", "description": "two\nlines\t here"}, "two lines here"),
        ({"item_id": "a"}, "a"),
    ],
)
def test_item_text_skips_what_is_empty(record, text):
    assert item_text(record) == text


@pytest.mark.parametrize(
    "ids",
    [
        pa.array([1.0, 7.0]),
        pa.array([1.0, 7.0], pa.float32()),
        pa.array([Decimal(1), Decimal(7)], pa.decimal128(18, 0)),
        pa.array([Decimal(1), Decimal(7)], pa.decimal256(38, 0)),
        pa.array([b"1", b"7"]),
        pa.array([b"1", b"7"], pa.large_binary()),
        pa.array([b"1", b"7"], pa.binary(1)),
        pa.array([b"1", b"7"]).dictionary_encode(),
        pa.array([1, 7], pa.uint64()),
    ],
    ids=str,
)
def test_ids_of_any_usual_type_are_text(tmp_path, ids):
    pq.write_table(pa.table({"item_id": ids}), tmp_path / "items.parquet")
    assert read_items(tmp_path / "items.parquet")["item_id"].to_pylist() == ["1", "7"]


def test_float_ids_that_are_not_whole_are_faults_shown_as_they_stand(tmp_path):
    ids = pa.array([1.0, 1.5, math.nan, None, 2.0**53, math.inf])
    pq.write_table(pa.table({"item_id": ids}), tmp_path / "items.parquet")
    table, report = load_items(tmp_path / "items.parquet")
    assert table["item_id"].to_pylist() == ["1"]
    assert report.broken == 5


@pytest.mark.parametrize("kind", [pa.float64(), pa.float32(), pa.int32(), pa.null(), pa.bool_(), pa.date32()], ids=str)
def test_a_column_without_values_has_any_type(tmp_path, kind):
    names = ("title", "description", "brand", "categories", "price", "available")
    columns = {name: pa.nulls(2, kind) for name in names}
    pq.write_table(pa.table({"item_id": ["1", "2"], **columns}), tmp_path / "items.parquet")
    row = read_items(tmp_path / "items.parquet").to_pylist()[1]
    assert row == {"item_id": "2", **dict.fromkeys(names), "categories": [], "available": True}


def test_a_column_of_nan_has_no_values(tmp_path):
    nothing = pa.array([math.nan, math.nan])
    pq.write_table(
        pa.table({"item_id": ["1", "2"], "brand": nothing, "categories": nothing}), tmp_path / "items.parquet"
    )
    assert read_items(tmp_path / "items.parquet")["brand"].to_pylist() == [None, None]


def test_texts_that_impala_wrote_as_bytes_are_read(tmp_path):
    columns = {name: pa.array([b"Zelt", None]) for name in ("title", "description", "brand")}
    pq.write_table(pa.table({"item_id": [b"1", b"2"], **columns}), tmp_path / "items.parquet")
    assert read_items(tmp_path / "items.parquet")["title"].to_pylist() == ["Zelt", None]
