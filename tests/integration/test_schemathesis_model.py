"""docs/openapi.json is what a server with a real model does, too.

Schemathesis makes its cases while tests are collected, which takes seconds: tests/integration/conftest.py leaves this
file out where it would not be run.
"""

from collections.abc import Iterator

import pytest
from schemathesis import Case

from server.storage.managed_redis import managed_redis
from tests.clients.conftest import make_key
from tests.docs.serving import Store
from tests.integration.test_schemathesis import DOCUMENT, assert_the_key_is_good, bearer, schema_of
from tests.support import world
from tests.support.server_process import ServerProcess
from trainer.config.recipe import load_recipe
from trainer.pipeline import run

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.large]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """With nothing fake: a trained bundle, in vLLM."""
    folder = tmp_path_factory.mktemp("shop")
    run(*world.write_world(folder), folder / "bundles", load_recipe("small", [*world.TINY]), resume=False)
    key, small = make_key(folder / "keys.json"), ("--engine.kv-cache-bytes", str(64 << 20))
    with managed_redis(folder / "redis") as redis:
        flags = ("--bundles", folder / "bundles", "--redis", redis, "--keys", folder / "keys.json", "--port", "0")
        server = ServerProcess(*flags, "--redis-write-timeout-ms", "20000", "--log-level", "warning", *small)
        try:
            yield Store(server.url, redis, folder / "redis", key)
            assert_the_key_is_good(server.url, key)
        finally:
            assert server.stop() == 0


@schema_of(DOCUMENT, 30).parametrize()
def test_the_document_is_kept(case: Case, shop: Store) -> None:
    case.call_and_validate(base_url=shop.url, headers=bearer(shop.key))
