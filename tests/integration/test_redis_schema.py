"""Columns that were added over HTTP are in every server on one Redis, after a restart and in the next training."""

import asyncio
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from catalog.bundle.folder import activate
from catalog.data.changes import AddedColumns
from catalog.data.items import Items, read_items, write_items
from catalog.snapshot import Snapshot
from server.cli.export_items import served_items
from server.storage.shared.change_log import RedisChanges
from tests.integration.test_redis_edits import bundles, open_shop, reaches  # noqa: F401
from tests.support.http_shop import Shop
from tests.support.redis_store import settings
from tests.support.small_shop import CODES_NL, make_index, make_items, publish_names

pytestmark = pytest.mark.integration


async def add(shop: Shop, **types: str) -> int:
    columns = [{"name": name, "type": kind} for name, kind in types.items()]
    answer = await shop.client.patch("/schema", json={"columns": columns})
    assert answer.status_code == 200, answer.text
    return int(answer.json()["catalog_version"])


async def test_other_servers_and_restarted_ones_have_it(bundles: Path, redis_url: str) -> None:  # noqa: F811
    async with open_shop(bundles, redis_url) as one, open_shop(bundles, redis_url) as other:
        await add(one, fragile="bool")
        assert (await one.client.patch("/items/item-9", json={"fragile": True})).status_code == 200
        await reaches(other, 2)
        assert await other.ids("/search", q="tent", filter="fragile = true") == ["item-9"]
        await add(other, weight="float")  # the change of the columns is newer now than that of the item
        await reaches(one, 3)
        assert [column["name"] for column in (await one.get("/schema")).json()["columns"]][-2:] == ["fragile", "weight"]
        await asyncio.gather(
            *(add(shop, **{f"{at}-{n}": "date"}) for n in range(4) for at, shop in enumerate((one, other)))
        )
        await reaches(one, 11)
        await reaches(other, 11)
        assert (await one.get("/schema")).json()["columns"] == (await other.get("/schema")).json()["columns"]
    async with open_shop(bundles, redis_url) as again:
        assert await again.ids("/search", q="tent", filter="fragile = true and not exists(weight)") == ["item-9"]
        answer = await again.client.patch("/schema", json={"columns": [{"name": "0-0", "drop": True}]})
        assert answer.json()["dropped_columns"] == ["0-0"]


async def test_it_outlives_a_rollout_to_a_bundle_without_it(bundles: Path, redis_url: str) -> None:  # noqa: F811
    publish_names(bundles, "2025-11-21-a")
    activate(bundles, "2025-11-20-a")
    async with open_shop(bundles, redis_url) as one, open_shop(bundles, redis_url) as other:
        await add(one, fragile="bool")
        assert (await one.client.patch("/items/item-9", json={"fragile": True})).status_code == 200
        assert (await one.client.post("/admin/models/2025-11-21-a/activate")).status_code == 200
        assert await one.ids("/search", q="tent", filter="fragile = true") == ["item-9"]
        await add(one, weight="float")
        await reaches(other, 3)
        assert await other.ids("/search", q="tent", filter="fragile = true and not exists(weight)") == ["item-9"]


async def test_a_dropped_column_is_in_no_kept_record(bundles: Path, redis_url: str) -> None:  # noqa: F811
    async with open_shop(bundles, redis_url) as shop:
        await add(shop, fragile="bool")
        for value in (True, None):
            await shop.client.patch("/items/item-9", json={"fragile": value, "title": "Kept"})
        drop = {"columns": [{"name": "fragile", "drop": True}]}
        assert (await shop.client.patch("/schema", json=drop)).status_code == 200
    async with open_shop(bundles, redis_url) as again:
        item = (await again.get("/items/item-9")).json()
        assert item["title"] == "Kept"
        assert "fragile" not in item


async def test_the_next_training_gets_the_column_and_the_bundle_keeps_it(
    bundles: Path,  # noqa: F811
    redis_url: str,
    tmp_path: Path,
) -> None:
    async with open_shop(bundles, redis_url) as shop:
        await add(shop, fragile="bool", weight="float")
        await shop.client.patch("/items/item-9", json={"fragile": True})
    store = RedisChanges(settings(redis_url))
    found = (await store.since(0)).changes
    await store.close()
    table, rejected = served_items(make_items(), found)
    assert not rejected
    write_items(table, tmp_path / "items.parquet")
    trained = Items(read_items(tmp_path / "items.parquet"))
    assert trained.table.schema.field("weight").type == pa.float64()
    row = trained.row_of("item-9")
    assert row is not None
    assert trained.record(row)["fragile"] is True
    order = np.argsort([make_items().ids.index(item_id) for item_id in trained.ids])
    in_order = Items(trained.table.take(pa.array(order)).combine_chunks())
    published = Snapshot.published(in_order, CODES_NL, make_index())
    taken = published.apply([*found.values()])
    assert taken.items.table.column_names == published.items.table.column_names
    assert list(taken.added_columns) == ["fragile", "weight"]
    assert taken.apply([AddedColumns({})]).items.table.column_names == published.items.table.column_names
    assert json.dumps(taken.items.record(taken.items.row_of("item-9") or 0)["fragile"]) == "true"
