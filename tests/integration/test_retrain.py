"""One retraining as an operator runs it: a server with vLLM and Redis, and every step a process of its own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from catalog.bundle.bundle import open_bundle
from catalog.bundle.folder import current_bundle
from tests.support import world
from tests.support.server_process import ServerProcess
from trainer.config.recipe import load_recipe
from trainer.pipeline import run

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.large]
STEPS = ("training.steps=30", "training.dropout=0", "gems.lr=0.01")


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return world.write_world(tmp_path)


@pytest.fixture
def bundles(tmp_path: Path, files: tuple[Path, Path]) -> Path:
    run(*files, tmp_path / "bundles", load_recipe("small", [*world.TINY, *STEPS]), resume=False)
    return tmp_path / "bundles"


@pytest.fixture
def server(bundles: Path, redis_url: str) -> Iterator[ServerProcess]:
    small = ("--engine.kv-cache-bytes", str(64 << 20), "--log-level", "warning")
    process = ServerProcess("--bundles", bundles, "--redis", redis_url, "--port", "0", "--open-admin", "true", *small)
    yield process
    process.stop()


def retrain(bundles: Path, redis_url: str, server: ServerProcess, events: Path, *more: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "server.cli.retrain", "--bundles", str(bundles), "--redis", redis_url]
    command += ["--server", server.url, "--events", str(events), *more]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    return done.returncode, done.stdout + done.stderr


def test_new_items_and_events_reach_the_next_model(
    bundles: Path, server: ServerProcess, redis_url: str, files: tuple[Path, Path]
) -> None:
    old = current_bundle(bundles)
    with httpx.Client(base_url=server.url, timeout=60) as client:
        assert client.put("/items/kite-red", json={"title": "red kite"}).status_code == 200
        assert client.delete("/items/tent-red").status_code == 200
        likes = [{"user_id": f"u{user}", "type": "view", "item_id": "kite-red", "query": "kite"} for user in range(20)]
        assert client.post("/events", json=likes).status_code == 202
        status, printed = retrain(bundles, redis_url, server, files[1], "--tolerance", "1", "training.steps=2")
        assert status == 0, printed
        new = open_bundle(current_bundle(bundles))
        assert new.path != old
        assert client.get("/version").json()["model"] == new.version
        assert new.manifest.warm_start == old.name
        assert "kite-red" in new.items.ids
        assert "tent-red" not in new.items.ids
        assert "20 events read" in printed
        status, printed = retrain(bundles, redis_url, server, files[1], "--tolerance", "-1", "training.steps=2")
        assert status == 3, printed
        assert client.get("/version").json()["model"] == new.version
        assert current_bundle(bundles) == new.path
