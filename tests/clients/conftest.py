"""A server of the small shop as a process of its own, with a real Redis and a key for everything."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.server_process import PATIENT, ServerProcess

PREFIX = "/gemserve"  # under which it answers too


@dataclass(frozen=True)
class LiveShop:
    url: str
    key: str = field(repr=False)
    log: list[str] = field(repr=False)


@pytest.fixture(scope="session")
def live_shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveShop]:
    """Tests share it, so each uses users of its own and leaves the catalog and the models as they were."""
    folder = tmp_path_factory.mktemp("shop")
    bundles, keys, redis = folder / "bundles", folder / "keys.json", folder / "redis"
    bundles.mkdir()
    key = make_key(keys)
    server = ServerProcess(
        *(
            "--bundles",
            bundles,
            "--managed-redis",
            redis,
            "--keys",
            keys,
            "--analytics",
            folder / "analytics",
            "--port",
            "0",
            "--root-path",
            PREFIX,
            *PATIENT,
        ),
        module="tests.clients.shop_server",
        imported="server",
    )
    try:
        yield LiveShop(server.url, key, server.lines)
    finally:
        assert server.stop() == 0


def make_key(file: Path) -> str:
    command = [sys.executable, "-m", "server.cli.keys", "create", "--file", str(file), "--name", "tests"]
    done = subprocess.run([*command, "--scopes", "admin"], capture_output=True, text=True, check=True)
    return done.stdout.strip()
