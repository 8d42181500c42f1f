"""Records that enter a running catalog, and what is said about the bad ones."""

import datetime

import pyarrow as pa
import pytest

from catalog.data.changes import Delete, Upsert, last_changes, records_table
from catalog.data.items import Items
from catalog.errors import ItemsError

SCHEMA = Items(
    pa.table(
        {
            "item_id": ["a"],
            "year": [1999],
            "rating": [4.5],
            "stock": pa.array([3], pa.int16()),
            "new": [True],
            "season": ["summer"],
            "tags": pa.array([["x"]], pa.list_(pa.field("as in Parquet", pa.string()))),
            "since": [datetime.date(2024, 1, 2)],
        }
    )
).table.schema

FULL = {
    "item_id": "b",
    "title": "Tent",
    "description": None,
    "brand": "Norrvik",
    "categories": ["Camping"],
    "price": 9.5,
    "available": False,
    "year": 2001,
    "rating": 4.0,
    "stock": 7,
    "new": False,
    "season": "winter",
    "tags": ["y", "z"],
    "since": datetime.date(2025, 11, 20),
}


def table(*records):
    return records_table(dict(enumerate(records, start=1)), SCHEMA)


def test_a_full_record_comes_back_as_it_was():
    assert table(FULL).to_pylist() == [FULL]
    assert table(FULL).schema == SCHEMA


def test_what_a_record_leaves_out_is_null_or_the_default():
    (record,) = table({"item_id": "b"}).to_pylist()
    assert record == dict.fromkeys(SCHEMA.names) | {"item_id": "b", "categories": [], "available": True}


def test_values_are_read_as_they_come_in_json():
    (record,) = table({"item_id": 7, "price": 3, "since": "2025-11-20", "year": 2001.0}).to_pylist()
    assert (record["item_id"], record["price"], record["year"]) == ("7", 3.0, 2001)
    assert record["since"] == datetime.date(2025, 11, 20)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("title", 5, "title that is no string"),
        ("title", "\ud800", "title that is no string"),
        ("price", "9.99", "price that is no number"),
        ("price", 2**60 + 1, "price that is no number"),
        ("price", -1, "price below zero"),
        ("categories", "Camping", "categories that is no list of strings"),
        ("available", 1, "available that is no true or false"),
        ("year", 1.5, "year that is no whole number"),
        ("year", True, "year that is no whole number"),
        ("year", 2**70, "year that is no whole number"),
        ("stock", 40_000, "stock that is no int16"),
        ("stock", "3", "stock that is no int16"),
        ("stock", True, "stock that is no int16"),
        ("new", "yes", "new that is no true or false"),
        ("tags", [1], "tags that is no list of strings"),
        ("since", "soon", 'since that is no date, such as "2025-11-20"'),
        ("since", {"y": 1}, 'since that is no date, such as "2025-11-20"'),
    ],
)
def test_a_bad_value_is_named_with_its_record(field, value, said):
    with pytest.raises(ItemsError) as refused:
        table({"item_id": "fine"}, {"item_id": "bad", field: value})
    assert said in str(refused.value)
    assert "change 2: " in str(refused.value)
    assert "item_id='bad'" in str(refused.value)
    assert "fine" not in str(refused.value)


def test_unknown_columns_are_all_listed():
    with pytest.raises(
        ItemsError, match=r"change 1 \(item 'b'\).*colour, prize \(did you mean price\?\)\. .*has: item_id, title"
    ):
        table({"item_id": "b", "prize": 4, "colour": "red", "year": 1})


def test_the_last_change_to_an_item_counts():
    changes = [Upsert({"item_id": "a", "title": "1"}), Upsert({"item_id": "b"}), Delete("a"), Upsert({"item_id": "b"})]
    assert last_changes(changes) == {"a": (3, Delete("a")), "b": (4, Upsert({"item_id": "b"}))}


@pytest.mark.parametrize(
    "change", [Upsert({}), Upsert({"item_id": None}), Upsert({"item_id": 1.5}), Upsert({"item_id": True}), Delete("")]
)
def test_a_change_to_no_item_is_refused(change):
    with pytest.raises(ItemsError, match="change 2 has the item_id"):
        last_changes([Delete("a"), change])
