"""Changes of items: one order for all servers, kept over restarts. The store is in memory here."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import pyarrow as pa
import pytest
import structlog

from catalog.bundle.bundle import Bundle
from catalog.data.changes import AddedColumns, Change, Delete, Upsert
from catalog.errors import ItemsError
from catalog.snapshot import Snapshot
from server.core.errors import HistoryUnavailable
from server.core.settings import Settings
from server.engine.errors import EngineError
from server.serving.manager import DeploymentManager
from server.serving.sync import catalog_sync
from server.serving.sync.catalog_sync import CatalogSync
from tests.support.http_shop import Shop
from tests.support.memory_changes import MemoryChanges
from tests.support.problems import assert_problem
from tests.support.small_shop import NAMES, RecordingEngine, ShopBundle
from tests.support.waiting import until

OLD, NEW = "2025-11-20-a", "2025-11-21-a"
SOON = 0.01


@asynccontextmanager
async def server(settings: Settings, store: MemoryChanges) -> AsyncIterator[tuple[DeploymentManager, CatalogSync]]:
    deployments = DeploymentManager(
        settings, lambda _, version: cast(Bundle, ShopBundle(version)), lambda *_: RecordingEngine()
    )
    deployments.agree_on_paths(store)
    edits = CatalogSync(deployments.router, store, poll_seconds=SOON)
    await deployments.start()
    await edits.start()
    yield deployments, edits
    store_was_away = store.away
    await edits.stop()
    store.away = store_was_away  # closed by this server, and not for the others
    await deployments.stop()


def shown(deployments: DeploymentManager) -> dict[str, object]:
    """What the current catalog has, by id, with its titles."""
    snapshot = deployments.router.current.catalog.searcher.snapshot
    rows = zip(snapshot.items.table.select(["item_id", "title"]).to_pylist(), snapshot.present_N, strict=True)
    return {row["item_id"]: row["title"] for row, present in rows if present}


def number(deployments: DeploymentManager) -> int:
    return deployments.router.current.catalog.searcher.snapshot.number


async def test_a_change_outlives_the_server(settings: Settings, changes: MemoryChanges) -> None:
    async with server(settings, changes) as (deployments, edits):
        await edits.change([Upsert({"item_id": "new", "title": "first"}), Delete("item-9")])
        outcome, last = await edits.change([Upsert({"item_id": "new", "title": "second"})])
        assert (outcome.replaced, last) == (("new",), 2)
        before = shown(deployments)
    async with server(settings, changes) as (deployments, _):
        assert shown(deployments) == before
        assert before["new"] == "second"
        assert "item-9" not in before
        assert number(deployments) == 2
    assert len(changes.changes) == 2


async def test_another_server_takes_a_change_over(settings: Settings, changes: MemoryChanges) -> None:
    async with server(settings, changes) as (one, edits), server(settings, changes) as (other, others):
        await edits.change([Upsert({"item_id": "new", "title": "new"})])
        await until(lambda: number(other) == 1)
        assert shown(other) == shown(one)
        await others.change([Delete("new")])
        await until(lambda: number(one) == 2)
        assert "new" not in shown(one)


async def test_servers_that_change_at_once_end_up_alike(settings: Settings, changes: MemoryChanges) -> None:
    async with server(settings, changes) as (one, a), server(settings, changes) as (other, b):
        made = await asyncio.gather(
            *(
                edits.change([Upsert({"item_id": f"item-{n % 7 + 6}", "title": f"{name} {n}"})])
                for n in range(20)
                for name, edits in (("a", a), ("b", b))
            )
        )
        assert sorted(number for _, number in made) == list(range(1, 41))
        await until(lambda: number(one) == number(other) == 40)
        assert shown(one) == shown(other)


async def test_what_is_made_of_the_newest_state_loses_no_change_of_another_server(
    settings: Settings, changes: MemoryChanges
) -> None:
    """Two servers append to one title at once, forty times: each letter is there in the end."""

    def appended(letter: str) -> Callable[[Snapshot], list[Change]]:
        def change(snapshot: Snapshot) -> list[Change]:
            row = snapshot.items.row_of("item-9")
            assert row is not None
            record = snapshot.items.record(row)
            return [Upsert(record | {"title": f"{record['title']}{letter}"})]

        return change

    async with server(settings, changes) as (one, a), server(settings, changes) as (other, b):
        before = str(shown(one)["item-9"])
        await asyncio.gather(
            *(sync.change_newest(appended(letter)) for _ in range(20) for letter, sync in (("a", a), ("b", b)))
        )
        await until(lambda: number(one) == number(other) == 40)
        assert shown(one) == shown(other)
        added = str(shown(one)["item-9"]).removeprefix(before)
        assert sorted(added) == ["a"] * 20 + ["b"] * 20


async def test_a_change_that_another_server_outran_is_made_again_of_what_that_one_left(
    settings: Settings, changes: MemoryChanges
) -> None:
    seen: list[object] = []
    async with server(settings, changes) as (one, a), server(settings, changes) as (_, b):

        def change(snapshot: Snapshot) -> list[Change]:
            row = snapshot.items.row_of("item-9")
            assert row is not None
            seen.append(snapshot.items.title(row))
            return [Upsert(snapshot.items.record(row) | {"price": 3.0})]

        write = changes.write

        async def outrun(*arguments: Any, **options: Any) -> bool:
            changes.write = write  # type: ignore[method-assign]
            await b.change([Upsert({"item_id": "item-9", "title": "theirs"})])
            return await write(*arguments, **options)

        changes.write = outrun  # type: ignore[method-assign]
        _, last = await a.change_newest(change)
        assert (last, seen[1:]) == (2, ["theirs"])
        assert shown(one)["item-9"] == "theirs"


async def test_what_making_a_change_raises_changes_nothing(settings: Settings, changes: MemoryChanges) -> None:
    def refuse(_: Snapshot) -> list[Change]:
        raise LookupError("no such item")

    async with server(settings, changes) as (one, edits):
        with pytest.raises(LookupError):
            await edits.change_newest(refuse)
        assert number(one) == 0
        _, last = await edits.change([Delete("item-9")])
        assert last == 1


async def test_without_the_store_nothing_is_changed_and_the_bundle_is_served(
    settings: Settings, changes: MemoryChanges
) -> None:
    await changes.write({"new": Upsert({"item_id": "new", "title": "new"})}, expected=0, number=1)
    changes.away = True
    with structlog.testing.capture_logs() as logs:
        async with server(settings, changes) as (deployments, edits):
            assert set(shown(deployments)) == set(NAMES)
            with pytest.raises(HistoryUnavailable):
                await edits.change([Delete("item-9")])
            assert "item-9" in shown(deployments)
            await asyncio.sleep(5 * SOON)
            changes.away = False
            await until(lambda: "new" in shown(deployments))
    assert [entry["event"] for entry in logs].count("changes_unavailable") == 1


async def test_a_change_that_is_refused_is_not_kept(settings: Settings, changes: MemoryChanges) -> None:
    async with server(settings, changes) as (deployments, edits):
        with pytest.raises(ItemsError):
            await edits.change([Delete("item-9"), Upsert({"item_id": "new", "colour": "red"})])
        assert (changes.number, number(deployments)) == (0, 0)


async def test_a_change_that_an_engine_did_not_take_is_taken_later(
    settings: Settings, changes: MemoryChanges, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with server(settings, changes) as (deployments, edits):
        with monkeypatch.context() as patch:

            async def refuse(*_: object) -> None:
                raise EngineError("no room")

            patch.setattr(RecordingEngine, "install", refuse)
            with pytest.raises(EngineError):
                await edits.change([Upsert({"item_id": "new", "title": "new"})])
            assert "new" not in shown(deployments)
        await until(lambda: "new" in shown(deployments))
        assert number(deployments) == changes.number == 1


async def test_a_store_that_came_back_empty_is_filled_again(settings: Settings, changes: MemoryChanges) -> None:
    async with server(settings, changes) as (one, edits), server(settings, changes) as (other, _):
        for name in ("a", "b"):
            await edits.change([Upsert({"item_id": name, "title": name})])
        await until(lambda: number(other) == 2)
        changes.number, changes.changes = 0, {}
        await until(lambda: number(one) == number(other) == changes.number > 2)
        assert set(changes.changes) == {"a", "b"}
        _, last = await edits.change([Delete("a")])
        assert last == changes.number
        await until(lambda: shown(other) == shown(one))


async def test_columns_are_written_again_before_the_items_that_have_them(
    settings: Settings, changes: MemoryChanges, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another server may read the first part alone."""
    monkeypatch.setattr(catalog_sync, "MAX_BATCH", 1)
    async with server(settings, changes) as (one, edits):
        await edits.change([Upsert({"item_id": "a", "title": "a"})])
        await edits.change([AddedColumns({"x": pa.int64()})])
        await edits.change([Upsert({"item_id": "a", "title": "a", "x": 1})])
        changes.number, changes.changes = 0, {}
        await until(lambda: number(one) == changes.number == 5)
        assert [changes.changes[item_id][0] for item_id in ("", "a")] == [4, 5]


async def test_what_a_catalog_cannot_take_is_rejected_and_told(settings: Settings, changes: MemoryChanges) -> None:
    written = {f"item-{n}": Upsert({"item_id": f"item-{n}", "title": "changed"}) for n in range(6, 16)}
    written["item-8"] = Upsert({"item_id": "item-8", "colour": "red"})
    await changes.write(written, expected=0, number=1)
    with structlog.testing.capture_logs() as logs:
        async with server(settings, changes) as (deployments, edits):
            titles = shown(deployments)
            assert [titles[f"item-{n}"] for n in (7, 8, 9)] == ["changed", "Title 8", "changed"]
            assert set(deployments.router.current.catalog.rejected) == {"item-8"}
            assert (await deployments.activate(NEW)).version == NEW  # the one before could not take it either
            await edits.change([Upsert({"item_id": "item-8", "title": "mended"})])
            assert deployments.router.current.catalog.rejected == {}
    (told, *_) = [entry for entry in logs if entry["event"] == "change_rejected"]
    assert (told["item"], "colour" in told["reason"]) == ("item-8", True)


async def test_models_change_and_edits_stay(settings: Settings, changes: MemoryChanges) -> None:
    async with server(settings, changes) as (deployments, edits):
        await edits.change([Upsert({"item_id": "item-9", "title": "mine"})])
        await edits.change([Delete("item-10")])
        for version in (NEW, OLD):
            await deployments.activate(version)
            assert shown(deployments)["item-9"] == "mine"
            assert "item-10" not in shown(deployments)
            assert number(deployments) == 2
        await deployments.share({OLD: 1, NEW: 1})
        await edits.change([Delete("item-11")])
        assert all("item-11" not in shown_by(live) for live in deployments.router.table.deployments)


def shown_by(deployment: object) -> set[str]:
    snapshot = deployment.catalog.searcher.snapshot  # type: ignore[attr-defined]
    return {item_id for item_id, present in zip(snapshot.items.ids, snapshot.present_N, strict=True) if present}


async def test_without_redis_a_change_is_a_503(shop: Shop, changes: MemoryChanges) -> None:
    changes.away = True
    requests: list[Awaitable[object]] = [
        shop.client.put("/items/new", json={}),
        shop.client.post("/items", json=[{"id": "new"}]),
        shop.client.delete("/items/item-9"),
    ]
    for response in await asyncio.gather(*requests):
        assert_problem(response, 503, "history_unavailable")  # type: ignore[arg-type]
    assert (await shop.get("/version")).json()["catalog_version"] == 0
    assert (await shop.get("/items/item-9")).status_code == 200
