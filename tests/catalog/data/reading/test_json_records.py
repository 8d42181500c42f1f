"""JSON as programs write it: every dialect gives the same records, and what is lost is counted."""

import bz2
import gzip
import json
import lzma
from collections.abc import Callable
from pathlib import Path

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from catalog.data.events import read_events
from catalog.data.items import load_items
from catalog.data.validation_report import ValidationReport
from catalog.errors import ItemsError

ROWS = [
    {"item_id": "1", "title": "Zelt für zwei"},
    {"item_id": "2", "title": "a\u2028b\x85c"},
    {"item_id": "3", "title": None},
]
LINES = [json.dumps(row, ensure_ascii=False) for row in ROWS]
TEXT = "\n".join(LINES) + "\n"

DIALECTS = {
    "lines": TEXT,
    "no end of line": "\n".join(LINES),
    "ends of Windows": "\r\n".join(LINES),
    "blank lines": "\n\n" + "\n \t\n".join(LINES) + "\n\n\n",
    "a byte-order mark": "\ufeff" + TEXT,
    "byte-order marks between": "\n".join("\ufeff" + line for line in LINES),
    "record separators": "".join(f"\x1e{line}\n" for line in LINES),
    "commas behind the lines": ",\n".join(LINES),
    "an array": json.dumps(ROWS),
    "an array of several lines": json.dumps(ROWS, indent=2),
    "an array with a record a line": "[\n" + ",\n".join(LINES) + "\n]\n",
    "objects of several lines": "\n".join(json.dumps(row, indent=2) for row in ROWS),
    "objects without a line between": "".join(LINES),
    "an object around the array": json.dumps({"items": ROWS, "total": 3}),
    "two objects around the array": json.dumps({"took": 3, "hits": {"total": 3, "max": {"a": 1}, "hits": ROWS}}),
    "lines of Elasticsearch": "\n".join(f'{{"_index": "shop", "_id": "x", "_source": {line}}}' for line in LINES),
    "hits of Elasticsearch": json.dumps({"hits": {"hits": [{"_id": "x", "_source": row} for row in ROWS]}}),
    "an object of several lines around it": json.dumps({"meta": {"page": 1}, "data": ROWS}, indent=1),
}


def read(path: Path) -> tuple[list[dict[str, object]], ValidationReport]:
    table, report = load_items(path)
    return table.select(["item_id", "title"]).to_pylist(), report


@pytest.mark.parametrize("text", DIALECTS.values(), ids=DIALECTS.keys())
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_every_dialect_gives_the_same_records(tmp_path: Path, text: str, encoding: str) -> None:
    path = tmp_path / "items.jsonl"
    path.write_bytes(text.encode(encoding))
    rows, report = read(path)
    assert rows == ROWS
    assert (report.read, report.kept, report.dropped) == (3, 3, 0)


@pytest.mark.parametrize(
    ("name", "packed"),
    [
        ("items.jsonl.gz", gzip.compress),
        ("items.jsonl.zst", zstd.compress),
        ("items.ndjson.bz2", bz2.compress),
        ("items.json.xz", lzma.compress),
        ("items.jsonl", gzip.compress),
        ("items.jsonl.gz", bytes),
    ],
)
def test_what_is_compressed_is_told_by_its_bytes(tmp_path: Path, name: str, packed: Callable[[bytes], bytes]) -> None:
    path = tmp_path / name
    path.write_bytes(packed(TEXT.encode()))
    assert read(path)[0] == ROWS
    path.write_bytes(packed(TEXT.encode("utf-16")))
    assert read(path)[0] == ROWS


@pytest.mark.parametrize("packed", [gzip.compress, zstd.compress, bz2.compress, lzma.compress])
def test_a_compressed_file_that_is_not_whole_is_refused(tmp_path: Path, packed: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "items.jsonl.gz"
    path.write_bytes(packed(TEXT.encode() * 50)[:-9])
    with pytest.raises(ItemsError, match=r"items\.jsonl\.gz: cannot be read to its end .* not whole"):
        read(path)


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("form", ["{row}\n{row}", "[{row}, {row}]", "[\n{row},\n{row}\n]"])
def test_what_python_writes_for_a_missing_number_is_null(tmp_path: Path, constant: str, form: str) -> None:
    path = tmp_path / "items.jsonl"
    rows = [f'{{"item_id": {i}, "price": {constant}, "title": "NaN or Infinity"}}' for i in (1, 2)]
    path.write_text(form.replace("{row}", rows[0], 1).replace("{row}", rows[1]))
    table, report = load_items(path)
    assert table.select(["item_id", "price", "title"]).to_pylist() == [
        {"item_id": i, "price": None, "title": "NaN or Infinity"} for i in ("1", "2")
    ]
    assert "2 of them were read as null" in str(report)


MONGO = {
    "_id": {"$oid": "65a0f0"},
    "item_id": {"$numberLong": "7"},
    "price": {"$numberDecimal": "9.99"},
    "categories": [{"$symbol": "Tents"}, "Camping"],
    "stock": {"$numberInt": "5"},
    "weight": {"$numberDouble": "NaN"},
    "height": {"$numberDouble": "1.5"},
    "made": {"$date": "2025-11-20T12:00:00Z"},
    "sold": {"$date": {"$numberLong": "1763640000000"}},
    "picture": {"$binary": {"base64": "iVBORw==", "subType": "00"}},
    "serial": {"$uuid": "01010101-0101-0101-0101-010101010101"},
    "colour": {"$undefined": True},
}
PLAIN = {
    "_id": "65a0f0",
    "item_id": "7",
    "price": 9.99,
    "categories": ["Tents", "Camping"],
    "stock": 5,
    "weight": None,
    "height": 1.5,
    "made": "2025-11-20T12:00:00Z",
    "sold": "2025-11-20T12:00:00+00:00",
    "picture": "iVBORw==",
    "serial": "01010101-0101-0101-0101-010101010101",
    "colour": None,
}


@pytest.mark.parametrize("form", ["lines", "array"])
def test_extended_json_of_mongo_is_read(tmp_path: Path, form: str) -> None:
    rows = [MONGO, MONGO | {"item_id": {"$oid": "8"}, "stock": 6}]
    path = tmp_path / "items.jsonl"
    path.write_text(json.dumps(rows) if form == "array" else "\n".join(map(json.dumps, rows)))
    first, second = load_items(path)[0].to_pylist()
    assert {name: first[name] for name in PLAIN} == PLAIN
    assert (second["item_id"], second["stock"]) == ("8", 6)


@pytest.mark.parametrize("moment", ["2025-11-20T12:00:00.5Z", {"$numberLong": "1763640000500"}, 1763640000500])
def test_dates_of_mongo_are_times_of_events(tmp_path: Path, moment: object) -> None:
    event = {"_id": {"$oid": "65a"}, "user_id": {"$numberInt": "5"}, "item_id": "a", "type": "view"}
    (tmp_path / "events.json").write_text(json.dumps(event | {"timestamp": {"$date": moment}}))
    (row,) = read_events(tmp_path / "events.json", strict=True)[0].to_pylist()
    assert (row["user_id"], row["timestamp"]) == ("5", 1_763_640_000_500)


@pytest.mark.parametrize(
    "value", [{"$oid": 5}, {"$numberLong": "many"}, {"$date": {"$numberLong": "9" * 30}}, {"$ref": "x"}, {"$binary": 5}]
)
def test_what_is_no_extended_json_is_refused_as_it_stands(tmp_path: Path, value: object) -> None:
    (tmp_path / "items.jsonl").write_text(json.dumps({"item_id": "a", "made": value}))
    with pytest.raises(ItemsError, match="the column 'made' is struct"):
        load_items(tmp_path / "items.jsonl")


def test_control_characters_within_a_string_are_read(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    path.write_text('{"item_id": "1", "title": "a\tb"}\n')
    assert read(path)[0] == [{"item_id": "1", "title": "a\tb"}]


def test_one_broken_record_costs_no_other(tmp_path: Path) -> None:
    path = tmp_path / "items.json"
    path.write_text("[\n" + ",\n".join([LINES[0], '{"item_id": ', LINES[2]]) + "\n]")
    rows, report = read(path)
    assert rows == [ROWS[0], ROWS[2]]
    assert (report.read, report.broken) == (3, 1)
    assert "line 3" in str(report)


@pytest.mark.parametrize(
    ("text", "number"), [("5\n" + TEXT, "line 1"), (json.dumps([*ROWS, 5]), "record 4"), (TEXT + "[1, 2]\n", "line 4")]
)
def test_what_is_no_object_is_counted_where_it_stands(tmp_path: Path, text: str, number: str) -> None:
    path = tmp_path / "items.jsonl"
    path.write_text(text)
    rows, report = read(path)
    assert len(rows) == 3
    assert report.broken == 1
    assert number in str(report)


def test_an_item_with_a_list_of_records_is_no_list_of_items(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    path.write_text(json.dumps({"item_id": "1", "title": "Tent", "variants": [{"item_id": "1a"}]}, indent=1))
    with pytest.raises(ItemsError, match="'variants'"):
        load_items(path)


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "item_id": st.text(st.characters(codec="utf-8"), min_size=1),
                "title": st.text(st.characters(codec="utf-8")),
            }
        ),
        min_size=1,
        max_size=5,
        unique_by=lambda row: row["item_id"],
    ),
    st.sampled_from(["\n", "\r\n", ",\n", "\n\n"]),
    st.booleans(),
    st.sampled_from([None, 0, 2]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
    st.sampled_from([bytes, gzip.compress, zstd.compress]),
)
def test_any_records_are_read_in_any_dialect(tmp_path_factory, rows, between, array, indent, encoding, packed) -> None:
    path = tmp_path_factory.mktemp("dialect") / "items.jsonl"
    text = json.dumps(rows, indent=indent) if array else between.join(json.dumps(row, indent=indent) for row in rows)
    path.write_bytes(packed(text.encode(encoding)))
    assert read(path)[0] == rows
