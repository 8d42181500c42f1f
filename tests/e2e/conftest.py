"""One Chromium for all tests and one shop for those of a module; each begins as a new visitor."""

from collections.abc import Iterator

import pytest

from server.core.settings import Settings
from server.storage.managed_redis import managed_redis
from tests.e2e.browser import Page
from tests.e2e.serving import ServedShop, served
from tests.support.small_shop import publish_names


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """With a Redis of its own: a server that runs on would take over, and bring back, what other tests edit."""
    bundles = tmp_path_factory.mktemp("bundles")
    publish_names(bundles, "2025-11-20-a")
    # Redis may be slow on a busy machine, and an answer without a history or guidance is not what is tested here.
    patience = {"redis_read_timeout_ms": 10_000, "redis_write_timeout_ms": 10_000, "guidance_timeout_ms": 10_000}
    with managed_redis(tmp_path_factory.mktemp("redis")) as url:
        yield Settings(bundles=bundles, redis=url, port=0, **patience)


@pytest.fixture(scope="module")
def running_shop(settings: Settings) -> Iterator[ServedShop]:
    """It ends before tests of other modules begin: they read metrics of this process, to which what it follows adds."""
    with served(settings) as shop:
        yield shop


@pytest.fixture
def shop(running_shop: ServedShop) -> Iterator[ServedShop]:
    yield running_shop
    running_shop.engine.broken = False
    running_shop.delays.clear()


@pytest.fixture
def page(chromium_driver, shop: ServedShop) -> Iterator[Page]:
    page = Page(chromium_driver, shop.url)
    page.open()
    yield page
    assert page.complaints() == []
