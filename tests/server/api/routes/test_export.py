"""GET /items/export: what it gives, an import takes."""

from typing import Any

import orjson
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.serving.manager import DeploymentManager
from tests.server.api.routes.test_typed_columns import BEGIN, EXAMPLES, ROWS, padded, shop_of
from tests.support.arrow_values import KEPT_KINDS, columns
from tests.support.http_shop import Shop
from tests.support.problems import assert_problem
from tests.support.small_shop import NAMES

NDJSON = {"content-type": "application/x-ndjson"}


async def exported(shop: Shop, **parameters: object) -> list[dict[str, Any]]:
    answer = await shop.get("/items/export", **parameters)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    return [orjson.loads(line) for line in answer.content.splitlines()]


async def test_every_item_comes_as_it_is_shown_alone(shop: Shop) -> None:
    assert (await shop.client.delete("/items/item-9")).status_code == 200
    assert (await shop.client.put("/items/new", json={"title": "New"})).status_code == 200
    rows = await exported(shop)
    assert {row["id"] for row in rows} == {*NAMES, "new"} - {"item-9"}
    for row in rows:
        assert (await shop.client.get("/items/" + row["id"].replace("/", "%2F").replace("?", "%3F"))).json() == row


async def test_a_filter_and_fields(shop: Shop) -> None:
    rows = await exported(shop, filter="price >= 4 and price < 8", fields="price, title")
    assert [row["id"] for row in rows] == ["item-4", "item-5", "item-6", "item-7"]  # one of which is not available
    assert [set(row) for row in rows] == [{"id", "price", "title"}] * 4
    assert await exported(shop, filter="price > 1000") == []
    assert_problem(await shop.get("/items/export", filter="prise > 1"), 422, "invalid_filter")
    assert_problem(await shop.get("/items/export", fields="prise"), 422, "invalid_request")
    assert_problem(await shop.get("/items/export", filter_by="price > 1"), 422, "invalid_request")


async def test_an_export_keeps_to_the_state_in_which_it_began(
    shop: Shop, deployments: DeploymentManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.api.bulk.exporter.ROWS", 4)
    before = await exported(shop)
    async with shop.client.stream("GET", "/items/export") as answer:
        catalog = deployments.router.current.catalog
        await shop.client.patch("/items/item-29", json={"title": "later"})
        await shop.client.delete("/items/item-28")
        text = await answer.aread()
    assert catalog.searcher.snapshot.number == 2
    assert [orjson.loads(line) for line in text.splitlines()] == before


@settings(max_examples=EXAMPLES)
@given(st.tuples(*(columns(kind, ROWS) for kind in KEPT_KINDS)))
async def test_what_an_export_gives_an_import_takes(table: tuple[pa.Array, ...]) -> None:
    async with shop_of({f"c{number}": padded(column) for number, column in enumerate(table)}) as (shop, record):
        chosen = NAMES[BEGIN : BEGIN + ROWS]
        before = [record(item_id) for item_id in chosen]
        body = (await shop.get("/items/export")).content
        for action, word in (("emplace", "unchanged"), ("upsert", "unchanged"), ("create", None)):
            answer = await shop.client.post(f"/items/import?action={action}", content=body, headers=NDJSON)
            assert {orjson.loads(line).get("result") for line in answer.content.splitlines()} == {word}
        for item_id in chosen:
            assert (await shop.client.put(f"/items/{item_id}", json={"title": "other"})).status_code == 200
        answer = await shop.client.post("/items/import", content=body, headers=NDJSON)
        assert [orjson.loads(line)["result"] for line in answer.content.splitlines()].count("replaced") == ROWS
        assert [record(item_id) for item_id in chosen] == before
