"""Retraining in exactly the environment of a running server: its exports run as processes of their own."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from catalog.bundle.folder import activate
from catalog.data.changes import Upsert
from catalog.data.items import write_items
from server.cli.retrain import __main__ as retrain
from server.cli.retrain import steps
from server.cli.retrain.steps import run_module
from server.core.settings import StorageSettings, read_settings
from server.storage.managed_redis import managed_redis
from server.storage.redis_history import RedisHistory
from server.storage.shared.change_log import RedisChanges
from tests.support.redis_store import event
from tests.support.small_shop import make_items, make_manifest

pytestmark = pytest.mark.integration
VERSION = "2025-11-20-a"


@pytest.fixture
def bundles(tmp_path: Path) -> Path:
    folder = tmp_path / "bundles" / VERSION
    (folder / "catalog").mkdir(parents=True)
    (folder / "manifest.json").write_text(make_manifest().model_copy(update={"version": VERSION}).model_dump_json())
    write_items(make_items().table, folder / "catalog" / "items.parquet")
    activate(folder.parent, VERSION)
    return folder.parent


async def used(url: str) -> None:
    """What a server wrote: an event, and an item that was inserted."""
    history, changes = RedisHistory(StorageSettings(url=url)), RedisChanges(StorageSettings(url=url))
    await history.append([event(1, item="inserted")])
    assert await changes.write({"inserted": Upsert({"item_id": "inserted", "title": "New"})}, expected=0, number=1)
    await history.close()
    await changes.close()


@pytest.mark.parametrize("form", ["redis", "managed_redis", "own_redis", "file"])
def test_the_log_and_the_catalog_of_the_server_are_trained_on(
    bundles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    for name in [name for name in os.environ if name.startswith("GEMSERVE_")]:
        monkeypatch.delenv(name)
    keys = tmp_path / "keys.json"
    keys.write_text('{"keys": []}')
    trained: dict[str, Path] = {}

    def run(command: Sequence[str], variables: Mapping[str, str]) -> int:
        if command[0].startswith("server.cli."):
            return run_module(command, variables)
        trained.update({"items": Path(command[command.index("--items") + 1])})
        trained.update({"events": Path(command[command.index("--events") + 1])})
        for name, file in trained.items():
            (tmp_path / f"{name}.parquet").write_bytes(file.read_bytes())
        return 9  # as if training had failed: what follows needs a model

    with managed_redis(tmp_path / "data") as url:
        asyncio.run(used(url))
        (tmp_path / "gemserve.yaml").write_text(f"managed_redis: {tmp_path / 'data'}\nkeys: {keys}\n")
        where = {
            "redis": ("REDIS", url),
            "managed_redis": ("MANAGED_REDIS", str(tmp_path / "data")),
            "own_redis": ("OWN_REDIS", str(tmp_path / "data")),
            "file": ("CONFIG", str(tmp_path / "gemserve.yaml")),
        }[form]
        settings = {"BUNDLES": str(bundles), "KEYS": str(keys), "PORT": "8123", "MAX_QUEUE": "7", "BEAM_WIDTH": "60"}
        settings |= {"ENGINE__MAX_WIDTH": "400", "CURSOR_SECRET": "0123456789abcdef", "REQUIRE_KEYS": "true"}
        for name, value in [*settings.items(), where]:
            monkeypatch.setenv(f"GEMSERVE_{name}", value)
        read_settings([])  # a server starts with these
        monkeypatch.setattr(steps, "_served_version", lambda _: VERSION)
        assert retrain.main(["--bundles", str(bundles), "--server", "http://127.0.0.1:9"], run) == 2
    assert pq.read_table(tmp_path / "events.parquet")["item_id"].to_pylist() == ["inserted"]
    assert "inserted" in pq.read_table(tmp_path / "items.parquet")["item_id"].to_pylist()
