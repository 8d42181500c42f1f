"""Fixtures that more than one folder uses, and how the tests are run: their examples, their limits, their processes."""

import logging
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from hypothesis import settings

from tests.e2e.chromium_driver import chromium_driver
from tests.support import workers
from tests.support.object_store import s3_server, s3_store
from tests.support.redis_server import passing_redis, redis_server, redis_url

if TYPE_CHECKING:
    from tests.support.trained import Trained
    from tests.support.vllm_server import VllmServers

__all__ = ["chromium_driver", "passing_redis", "redis_server", "redis_url", "s3_server", "s3_store"]

# Machines here are shared and slow: no test asserts a time. `--hypothesis-profile ci` is for thoroughness.
settings.register_profile("quick", deadline=None, max_examples=25)
settings.register_profile("ci", deadline=None, max_examples=100, print_blob=True)
settings.load_profile("quick")

if "PYTEST_XDIST_WORKER" in os.environ:  # as many processes as cores: a thread more in each only makes them wait
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--timings", type=Path, metavar="FILE", help="write the run's slowest tests as JSON")


def pytest_configure(config: pytest.Config) -> None:
    file, is_worker = config.getoption("timings"), hasattr(config, "workerinput")
    if file is not None and not is_worker:
        from tests.support.timings import Timings  # torch, which is asked for its version

        config.pluginmanager.register(Timings(file, config.getoption("numprocesses", 0) or 1))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Gives every test a node id of its own, and each of several processes its order.

    Schemathesis gives one to all operations of a test, and of tests with one node id pytest-xdist runs only the first.
    """
    for item in items:
        if item.parent is not None and not item.nodeid.endswith(item.name):
            item._id = type(item.id).parse(f"{item.parent.nodeid}::{item.name}")
    repeated = [node_id for node_id, times in Counter(item.nodeid for item in items).items() if times > 1]
    if repeated:
        raise pytest.UsageError(f"several tests have one node id, so that some would not run: {repeated[:3]}")
    slow = {item.path for item in items if item.get_closest_marker("slow") is not None}
    if unnamed := [str(file) for file in slow if "mark.slow" not in file.read_text(encoding="utf-8")]:
        raise pytest.UsageError(f"CI finds files of slow tests by the words mark.slow, which are not in {unnamed}")
    if hasattr(config, "workerinput"):
        workers.order(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    return workers.scheduler(config, log)


@pytest.fixture(scope="session")
def trained(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> "Trained":
    from tests.support.trained import Trained  # torch, without which pytest-xdist's controlling process starts sooner

    return Trained(pytestconfig.cache.mkdir("trained-bundles"), tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="session")
def vllm_servers(trained: "Trained", tmp_path_factory: pytest.TempPathFactory) -> "Iterator[VllmServers]":
    from tests.support.vllm_server import VllmServers

    servers = VllmServers(trained, tmp_path_factory.mktemp)
    yield servers
    servers.stop()


@pytest.fixture(autouse=True)
def logging_stays_in_its_test(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A program that a test runs in this process configures logging; tests after it would have its levels and streams.

    Loggers are not cached either: one that was used while a program ran would keep its configuration for ever.
    """
    configure = structlog.configure

    def configure_without_cache(**options: Any) -> None:
        configure(**options | {"cache_logger_on_first_use": False})

    monkeypatch.setattr(structlog, "configure", configure_without_cache)
    root, of_structlog = logging.getLogger(), structlog.get_config()
    level = root.level
    yield
    for handler in [
        each for each in root.handlers if type(each) is logging.StreamHandler
    ]:  # pytest's are of types of its own
        root.removeHandler(handler)
    root.setLevel(level)
    configure(**of_structlog)
