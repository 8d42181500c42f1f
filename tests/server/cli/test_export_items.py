"""The catalog as it is served, written for training."""

import asyncio
from pathlib import Path

import pytest

from catalog.data.changes import Change, Delete, Upsert
from catalog.data.items import Items, read_items
from server.cli import export_items
from server.cli.export_items import main, served_items
from server.core.settings import StorageSettings
from server.storage.shared.change_log import RedisChanges
from tests.support.small_shop import NAMES, make_items


def test_changes_are_in_and_deleted_items_are_out() -> None:
    changes: dict[str, Change] = {
        "new": Upsert({"item_id": "new", "title": "New", "price": 3.5}),
        "item-9": Delete("item-9"),
        "item-4": Upsert({"item_id": "item-4", "title": "Renamed"}),
        "never-there": Delete("never-there"),
    }
    table, rejected = served_items(make_items(), changes)
    items = Items(table)
    assert not rejected
    assert set(items.ids) == {*NAMES, "new"} - {"item-9"}
    assert len(items) == len(NAMES)
    record = items.record(items.row_of("item-4") or 0)
    assert (record["title"], record["price"]) == ("Renamed", None)


def test_a_change_that_does_not_fit_the_items_is_left_out_and_told() -> None:
    changes: dict[str, Change] = {"item-4": Upsert({"item_id": "item-4", "colour": "red"})}
    table, rejected = served_items(make_items(), changes)
    assert table.equals(make_items().table.cast(table.schema))
    assert "colour" in rejected["item-4"]


@pytest.mark.integration
def test_changes_come_from_redis(
    redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def edit() -> None:
        store = RedisChanges(StorageSettings(url=redis_url))
        assert await store.write({"new": Upsert({"item_id": "new", "title": "New"})}, expected=0, number=1)
        await store.close()

    class Published:
        items = make_items()

    asyncio.run(edit())
    # The environment of a server with a Redis of its own, whose address retraining is told.
    monkeypatch.setenv("GEMSERVE_MANAGED_REDIS", str(tmp_path / "data"))
    monkeypatch.setenv("GEMSERVE_REDIS", redis_url)
    monkeypatch.setenv("GEMSERVE_LOG_LEVEL", "loud")  # no business of an export's
    monkeypatch.setattr(export_items, "open_bundle", lambda *_, **__: Published)
    out = tmp_path / "items.parquet"
    assert main(["--bundle", str(tmp_path / "bundle"), "--redis", redis_url, "--out", str(out)]) == 0
    assert "new" in Items(read_items(out)).ids
    assert "31 items, 1 changes among them" in capsys.readouterr().out


def test_a_bundle_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--bundle", str(tmp_path), "--out", str(tmp_path / "items.parquet")]) == 2
    assert "is not a bundle" in capsys.readouterr().err
    assert not (tmp_path / "items.parquet").exists()
