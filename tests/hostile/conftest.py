"""A server for those who mean no good: small bounds, a fake engine, everything else real."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from server.storage.managed_redis import managed_redis
from tests.hostile.logged import Logged
from tests.server.conftest import changes, deployments, engine, history, settings, shop
from tests.support.server_process import PATIENT, ServerProcess

__all__ = ["changes", "deployments", "engine", "history", "settings", "shop"]

FAKE = "tests.support.fake_server"
SMALL = ("--connections", "24", "--header-timeout", "1", "--body-timeout", "1.5", "--send-timeout", "1")


class Target:
    """A running server under attack."""

    def __init__(self, process: ServerProcess) -> None:
        self.process = process
        self.url = process.url
        self.port = int(urlsplit(process.url).port or 0)

    @property
    def logged(self) -> Logged:
        return Logged(list(self.process.lines))


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Target]:
    """Its log is examined in the end, whatever the tests of the module sent."""
    flags: tuple[str, ...] = getattr(request, "param", SMALL)
    folder: Path = tmp_path_factory.mktemp("hostile")
    with managed_redis(folder) as redis:
        process = ServerProcess(
            "--bundles",
            "unused",
            "--redis",
            redis,
            "--port",
            "0",
            "--open-admin",
            "true",
            *PATIENT,
            *flags,
            module=FAKE,
            imported="server",
        )
        target = Target(process)
        try:
            yield target
        finally:
            assert process.stop() == 0
        target.logged.examine()
