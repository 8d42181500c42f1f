"""The columns of the catalog, and further ones without training."""

from typing import Any

import httpx
import pytest

from catalog.data.columns.added import TYPES_BY_NAME
from tests.support.http_shop import Shop
from tests.support.memory_changes import MemoryChanges
from tests.support.problems import assert_problem
from tests.support.small_shop import NAMES, UNAVAILABLE

VALUES: dict[str, object] = {
    "string": "wool",
    "bool": True,
    "int64": -3,
    "uint64": 2**64 - 1,
    "float": 0.5,
    "string[]": ["wool", "silk"],
    "date": "2026-11-28",
    "datetime": "2026-11-28T10:00:00",
    "datetime_utc": "2026-11-28T10:00:00Z",
}
ONE_OF: dict[str, str] = {
    "string": "x = 'wool'",
    "bool": "x = true",
    "int64": "x = -3",
    "uint64": "x > 0",
    "float": "x < 1",
    "string[]": "x = 'silk'",
    "date": "x = '2026-11-28'",
    "datetime": "x > '2026-11-27'",
    "datetime_utc": "x > '2026-11-27'",
}


async def patch(shop: Shop, *columns: dict[str, object]) -> httpx.Response:
    return await shop.client.patch("/schema", json={"columns": columns})


async def columns_of(shop: Shop) -> dict[str, dict[str, Any]]:
    answer = await shop.get("/schema")
    assert answer.status_code == 200, answer.text
    return {column["name"]: column for column in answer.json()["columns"]}


async def test_the_columns_that_there_are(shop: Shop) -> None:
    answer = (await shop.get("/schema")).json()
    assert (answer["items"], answer["model"], answer["catalog_version"]) == (len(NAMES), "2025-11-20-a", 0)
    columns = {column["name"]: column for column in answer["columns"]}
    assert [*columns] == ["id", "title", "description", "brand", "categories", "price", "available", "season"]
    able = {"filterable": True, "facetable": True, "added": False}
    assert columns["id"] == {"name": "id", "type": "string", "nullable": False, "sortable": True, "values": 30, **able}
    assert columns["categories"]["type"] == "string[]"
    assert columns["categories"]["sortable"] is False
    assert columns["price"]["type"] == "float"
    assert (columns["title"]["values"], columns["description"]["values"]) == (29, 0)
    await shop.client.delete("/items/item-9")
    assert (await shop.get("/schema")).json()["items"] == len(NAMES) - 1


@pytest.mark.parametrize("kind", TYPES_BY_NAME)
async def test_a_column_of_every_type_counts_at_once(shop: Shop, kind: str) -> None:
    answer = await patch(shop, {"name": "x", "type": kind})
    assert answer.status_code == 200, answer.text
    assert (answer.json()["added_columns"], answer.json()["catalog_version"]) == (["x"], 1)
    assert (await columns_of(shop))["x"] == {
        **{"name": "x", "type": kind, "nullable": True, "filterable": True, "facetable": True, "added": True},
        **{"sortable": kind != "string[]", "values": 0},
    }
    everything = len(NAMES) - len(UNAVAILABLE)
    assert len(await shop.ids("/search", q="tent", k=50, filter="not exists(x)")) == everything
    assert (await shop.get("/items/item-9")).json()["x"] is None
    assert (await shop.client.patch("/items/item-9", json={"x": VALUES[kind]})).status_code == 200
    assert await shop.ids("/search", q="tent", filter=ONE_OF[kind]) == ["item-9"]
    assert await shop.ids("/items", filter=f"not ({ONE_OF[kind]}) and id = 'item-9'") == []
    assert (await columns_of(shop))["x"]["values"] == 1
    if kind != "string[]":
        assert (await shop.ids("/items", sort_by="x:desc", k=3))[0] == "item-9"
    counted = (await shop.get("/items", facets="x")).json()
    assert counted["facetValues"]["x"] == (2 if kind == "string[]" else 1)
    wrong = {"x": {"deep": 1}}
    assert "x that is no" in str(
        assert_problem(await shop.client.patch("/items/item-4", json=wrong), 422, "invalid_change")["detail"]
    )


async def test_it_is_in_every_way_that_items_are_written_and_read(shop: Shop) -> None:
    await patch(shop, {"name": "x", "type": "int64"})
    lines = [{"id": f"item-{n}", "x": n} for n in (6, 7)]
    answer = await shop.client.post("/items/import?action=update", json=lines)
    assert [line for line in answer.text.splitlines() if '"updated"' in line] == answer.text.splitlines()
    assert (await shop.client.post("/items", json=[{"id": "new", "x": 8}])).json()["inserted"] == ["new"]
    assert '"x":7' in (await shop.get("/items/export", filter="x = 7", fields="x")).text
    assert [i["x"] for i in (await shop.get("/items", filter="x > 0", sort_by="x", fields="x")).json()["items"]] == [
        *(6, 7, 8),
    ]


async def test_asking_again_changes_nothing(shop: Shop) -> None:
    await patch(shop, {"name": "x", "type": "int64"})
    await shop.client.patch("/items/item-9", json={"x": 1})
    again = (await patch(shop, {"name": "x", "type": "int64"}, {"name": "season", "type": "string"})).json()
    assert (again["added_columns"], again["dropped_columns"]) == ([], [])
    assert await shop.ids("/items", filter="x = 1") == ["item-9"]
    assert (await columns_of(shop))["season"]["added"] is False


async def test_an_empty_column_is_dropped_and_can_be_another(shop: Shop, changes: MemoryChanges) -> None:
    await patch(shop, {"name": "x", "type": "int64"}, {"name": "y", "type": "bool"})
    await shop.client.patch("/items/item-9", json={"x": 1, "y": True})
    refused = assert_problem(
        await patch(shop, {"name": "y", "drop": True}, {"name": "x", "drop": True}), 409, "column_conflict"
    )
    assert [(fault["field"], fault["code"]) for fault in refused["errors"]] == [  # type: ignore[attr-defined]
        ("columns.0.name", "column_not_empty"),
        ("columns.1.name", "column_not_empty"),
    ]
    await shop.client.patch("/items/item-9", json={"x": None})
    answer = (await patch(shop, {"name": "x", "drop": True})).json()
    assert (answer["added_columns"], answer["dropped_columns"]) == ([], ["x"])
    assert "x" not in (await shop.get("/items/item-9")).json()
    assert_problem(await shop.get("/search", q="tent", filter="x = 1"), 422, "invalid_filter")
    assert (await patch(shop, {"name": "x", "type": "string[]"})).status_code == 200
    await shop.client.patch("/items/item-9", json={"x": ["a"]})
    assert await shop.ids("/items", filter="x = 'a' and y = true") == ["item-9"]
    assert len(changes.changes) == 2


@pytest.mark.parametrize(
    ("columns", "field", "code", "hint"),
    [
        ([{"name": "x", "type": "strin"}], "columns.0.type", "unknown_type", "did you mean string"),
        ([{"name": "x", "type": "int64"}, {"name": "y", "type": "blob"}], "columns.1.type", "unknown_type", "int64"),
        ([{"name": "x"}], "columns.0.type", "missing", "drop"),
        ([{"name": "x", "type": "bool", "drop": True}], "columns.0.type", "type_of_dropped", "leave it out"),
        ([{"name": "score", "type": "float"}], "columns.0.name", "reserved_name", "another name"),
        ([{"name": "category", "type": "string"}], "columns.0.name", "reserved_name", "another name"),
        ([{"name": "_relevance", "type": "float"}], "columns.0.name", "reserved_name", "another name"),
        ([{"name": "a,b", "type": "float"}], "columns.0.name", "unusable_name", "commas"),
        ([{"name": "", "type": "float"}], "columns.0.name", "string_too_short", "at least 1"),
        (
            [{"name": "x", "type": "bool"}, {"name": "x", "drop": True}],
            "columns.1.name",
            "repeated_column",
            "columns.0",
        ),
        ([{"name": "x", "rename": "y"}], "columns.0.rename", "extra_forbidden", "not a name that is known"),
        ([{"name": "x", "drop": "yes"}], "columns.0.drop", "bool_type", "boolean"),
        ([], "columns", "too_short", "at least 1"),
        ("x", "columns", "list_type", "list"),
    ],
)
async def test_what_is_no_change_is_told_by_place(
    shop: Shop, columns: object, field: str, code: str, hint: str
) -> None:
    refused = assert_problem(await shop.client.patch("/schema", json={"columns": columns}), 422, "invalid_request")
    (fault,) = refused["errors"]  # type: ignore[misc]
    assert (fault["field"], fault["code"]) == (field, code)
    assert hint in fault["message"]
    assert (await shop.get("/version")).json()["catalog_version"] == 0


@pytest.mark.parametrize(
    ("column", "field", "code", "hint"),
    [
        ({"name": "season", "type": "bool"}, "columns.1.type", "other_type", "is string already"),
        ({"name": "price", "drop": True}, "columns.1.name", "published_column", "trained with"),
        ({"name": "sesaon", "drop": True}, "columns.1.name", "no_such_column", "GET /schema"),
    ],
)
async def test_a_conflict_is_told_by_place_and_nothing_is_changed(
    shop: Shop, column: dict[str, object], field: str, code: str, hint: str
) -> None:
    refused = assert_problem(await patch(shop, {"name": "x", "type": "bool"}, column), 409, "column_conflict")
    (fault,) = refused["errors"]  # type: ignore[misc]
    assert (fault["field"], fault["code"]) == (field, code)
    assert hint in fault["message"]
    assert "x" not in await columns_of(shop)


async def test_the_number_of_columns_is_bounded(shop: Shop) -> None:
    assert (await patch(shop, *({"name": f"x{n}", "type": "bool"} for n in range(100)))).status_code == 200
    refused = assert_problem(await patch(shop, {"name": "y", "type": "bool"}), 409, "column_conflict")
    assert "at most 100" in str(refused["detail"])


async def test_without_redis_nothing_is_changed(shop: Shop, changes: MemoryChanges) -> None:
    changes.away = True
    assert_problem(await patch(shop, {"name": "x", "type": "bool"}), 503, "history_unavailable")
    assert "x" not in await columns_of(shop)


async def test_it_holds_in_the_next_model(shop: Shop) -> None:
    await patch(shop, {"name": "x", "type": "int64"})
    await shop.client.patch("/items/item-9", json={"x": 1})
    assert (await shop.client.post("/admin/models/2025-11-21-a/activate")).status_code == 200
    assert (await shop.get("/version")).json()["model"] == "2025-11-21-a"
    assert await shop.ids("/search", q="tent", filter="x = 1") == ["item-9"]
    assert (await patch(shop, {"name": "y", "type": "bool"})).json()["added_columns"] == ["y"]
    assert {"x", "y"} <= (await columns_of(shop)).keys()
