"""What GET shows of an item PUT takes, for columns of every type that a file may hold."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.bundle.bundle import Bundle
from catalog.data.items import Items, read_items
from catalog.snapshot import Snapshot
from server.core.settings import Settings
from server.serving.manager import DeploymentManager
from tests.support.arrow_values import KEPT_KINDS, columns
from tests.support.http_shop import Shop
from tests.support.memory_app import create_memory_app
from tests.support.problems import assert_problem
from tests.support.small_shop import CODES_NL, NAMES, RecordingEngine, ShopBundle, publish_names

VERSION = "2025-11-20-a"


def bundle_with(folder: Path, further: dict[str, pa.Array]) -> ShopBundle:
    """A bundle of items whose file has these further columns."""
    pq.write_table(pa.table({"item_id": NAMES, **further}), folder / "items.parquet")
    bundle = ShopBundle(VERSION)
    bundle.items = Items(read_items(folder / "items.parquet"))
    bundle.snapshot = Snapshot.published(bundle.items, CODES_NL, bundle.index)
    return bundle


@asynccontextmanager
async def shop_of(further: dict[str, pa.Array]) -> AsyncIterator[tuple[Shop, Callable[[str], dict[str, Any]]]]:
    """A client of a shop whose items file has these further columns, and its records as they are kept."""
    with TemporaryDirectory() as folder:
        publish_names(Path(folder), VERSION)
        bundle = bundle_with(Path(folder), further)
        chosen = Settings(bundles=Path(folder), open_admin=True, guidance_timeout_ms=60_000)
        engine = RecordingEngine()
        deployments = DeploymentManager(chosen, lambda *_: cast(Bundle, bundle), lambda *_: engine)

        def record(item_id: str) -> dict[str, Any]:
            items = deployments.router.current.catalog.searcher.snapshot.items
            row = items.row_of(item_id)
            assert row is not None
            return items.record(row)

        app = create_memory_app(chosen, lambda _: deployments)
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
                yield Shop(client), record


def padded(column: pa.Array) -> pa.Array:
    """As many values as there are items, of which those at BEGIN are the column's."""
    nulls = [pa.array([None] * rows, column.type) for rows in (BEGIN, len(NAMES) - BEGIN - len(column))]
    return pa.concat_arrays([nulls[0], column, nulls[1]])


EXAMPLES = max(8, settings().max_examples // 3)  # of an application each
BEGIN, ROWS = 4, 3  # from the first item on whose name needs no escapes in an address
TABLES = st.tuples(*(columns(kind, ROWS) for kind in KEPT_KINDS))


@settings(max_examples=EXAMPLES)
@given(TABLES)
async def test_what_get_gives_put_and_post_and_patch_take(table: tuple[pa.Array, ...]) -> None:
    async with shop_of({f"c{number}": padded(column) for number, column in enumerate(table)}) as (shop, record):
        for item_id in NAMES[BEGIN : BEGIN + ROWS]:
            before, shown = record(item_id), (await shop.get(f"/items/{item_id}")).json()
            for answer in (
                await shop.client.put(f"/items/{item_id}", json=shown),
                await shop.client.post("/items", json=[shown]),
                await shop.client.patch(f"/items/{item_id}", json={"brand": shown["brand"]}),
            ):
                assert answer.status_code == 200, answer.text
                assert record(item_id) == before
            assert (await shop.get(f"/items/{item_id}")).json() == shown


TYPED = {
    "made": pa.timestamp("ns"),
    "seen": pa.timestamp("ms", "Europe/Berlin"),
    "day": pa.date32(),
    "hash": pa.uint64(),
    "count": pa.int64(),
    "weight": pa.float32(),
    "length": pa.duration("s"),
    "opens": pa.time32("s"),
    "thumb": pa.binary(),
}
NO_TIME = 'ISO 8601 time, such as "2025-11-20T12:00:00'


REFUSED = [
    ("made", 1_763_640_000, f"made that is no {NO_TIME}"),
    ("made", 1_763_640_000.5, f"made that is no {NO_TIME}"),
    ("made", "1763640000", f"made that is no {NO_TIME}"),
    ("made", True, f"made that is no {NO_TIME}"),
    ("made", "20 November", f"made that is no {NO_TIME}"),
    ("made", "0001-01-01T00:00:00+14:00", f"made that is no {NO_TIME}"),
    ("made", ["2025-11-20"], f"made that is no {NO_TIME}"),
    ("seen", 1_763_640_000_000, f"seen that is no {NO_TIME}Z"),
    ("seen", "10000-01-01T00:00:00Z", f"seen that is no {NO_TIME}Z"),
    ("day", 20_000, 'day that is no date, such as "2025-11-20'),
    ("day", "2025-11-20T12:00:00", 'day that is no date, such as "2025-11-20'),
    ("day", "2025-11-20T00:00:00.000001Z", 'day that is no date, such as "2025-11-20'),
    ("day", "2025-11-20T00:00:00+01:00", 'day that is no date, such as "2025-11-20'),
    ("hash", -1, "hash that is no whole number from 0 on"),
    ("hash", 2**64, "hash that is no whole number from 0 on"),
    ("hash", 1.5, "hash that is no whole number from 0 on"),
    ("count", 2**63, "count that is no whole number"),
    ("weight", "heavy", "weight that is no number"),
    ("weight", 2**60 + 1, "weight that is no number"),
    ("length", "PT90S", "length that is no number"),
    ("opens", 43_200, "opens that is no string"),
    ("thumb", [137, 80], "thumb that is no string"),
]
TAKEN = [
    ("made", "2025-11-20T12:00:00", "2025-11-20T12:00:00"),
    ("made", "2025-11-20T13:00:00+01:00", "2025-11-20T12:00:00"),
    ("made", "2025-11-20T12:00:00z", "2025-11-20T12:00:00"),
    ("made", "2025-11-20", "2025-11-20T00:00:00"),
    ("made", "2025-11-20T12:00:00.123456789", "2025-11-20T12:00:00.123456"),
    ("seen", "2025-11-20T12:00:00Z", "2025-11-20T12:00:00+00:00"),
    ("seen", "2025-11-20T12:00:00", "2025-11-20T12:00:00+00:00"),
    ("seen", "2025-11-20T12:00:00-05:00", "2025-11-20T17:00:00+00:00"),
    ("day", "2025-11-20", "2025-11-20"),
    ("day", "2025-11-20T00:00:00.000Z", "2025-11-20"),  # a Date of JavaScript
    ("day", "2025-11-20T00:00:00+00:00", "2025-11-20"),
    ("day", "2025-11-20T00:00:00", "2025-11-20"),
    ("day", "2025-11-20 01:00+01:00", "2025-11-20"),
    ("hash", 2**64 - 1, 2**64 - 1),
    ("hash", 2**63 + 1, 2**63 + 1),
    ("hash", 7.0, 7),
    ("count", -(2**63), -(2**63)),
    ("weight", 0.1, 0.1),
    ("weight", 1_152_921_504_606_847_000, 2.0**60),  # as JavaScript writes it
    ("length", 90, 90.0),
    ("opens", "12:00:00", "12:00:00"),
    ("thumb", "iVBORw==", "iVBORw=="),
]


@pytest.fixture
def typed() -> dict[str, pa.Array]:
    return {name: pa.nulls(len(NAMES), kind) for name, kind in TYPED.items()}


async def test_a_value_of_another_kind_is_refused_and_the_right_form_shown(typed: dict[str, pa.Array]) -> None:
    async with shop_of(typed) as (shop, record):
        for column, value, said in REFUSED:
            for answer in (
                await shop.client.put("/items/item-9", json={column: value}),
                await shop.client.patch("/items/item-9", json={column: value}),
                await shop.client.post("/items", json=[{"id": "item-9", column: value}]),
            ):
                problem = assert_problem(answer, 422, "invalid_change")
                assert said in str(problem["detail"])
            assert record("item-9")[column] is None


async def test_values_are_taken_in_every_usual_form(typed: dict[str, pa.Array]) -> None:
    async with shop_of(typed) as (shop, _):
        for column, value, shown in TAKEN:
            answer = await shop.client.put("/items/item-9", json={column: value})
            assert answer.status_code == 200, answer.text
            first = (await shop.get("/items/item-9")).json()
            assert first[column] == shown
            assert (await shop.client.put("/items/item-9", json=first)).status_code == 200
            assert (await shop.get("/items/item-9")).json() == first
            hits = (await shop.get("/search", q="item", filter=f"exists({column})", fields=column)).json()["items"]
            assert [(hit["id"], hit[column]) for hit in hits] == [("item-9", shown)]
