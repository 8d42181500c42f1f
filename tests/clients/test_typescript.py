"""The TypeScript client: its types are the server's present ones, its own tests, and every method against a server."""

from pathlib import Path

import pytest

from tests.clients.conftest import PREFIX, LiveShop
from tests.support.nginx import documented_locations, nginx
from tests.support.node_clients import TYPESCRIPT as CLIENT
from tests.support.node_clients import build, npm

RENEW = "run `npm run schema` in clients/typescript"


@pytest.fixture(scope="module")
def built_tests():
    npm(CLIENT, "run", "pretest")


def test_the_types_are_of_the_present_api(tmp_path):
    renewed = tmp_path / "schema.ts"
    npm(CLIENT, "exec", "--", "openapi-typescript", "../../docs/openapi.json", "--output", str(renewed))
    committed = (CLIENT / "src/schema.ts").read_text(encoding="utf-8")
    assert committed == renewed.read_text(encoding="utf-8"), f"docs/openapi.json has changed: {RENEW}"


def test_it_builds():
    build(CLIENT)
    assert (CLIENT / "dist/index.d.ts").is_file()


@pytest.mark.usefixtures("built_tests")
def test_its_own_tests_pass():
    npm(CLIENT, "test", "--ignore-scripts")


@pytest.mark.integration
@pytest.mark.usefixtures("built_tests")
def test_every_method_against_a_server(live_shop: LiveShop):
    npm(CLIENT, "run", "live", GEMSERVE_URL=live_shop.url, GEMSERVE_KEY=live_shop.key)


@pytest.mark.integration
@pytest.mark.usefixtures("built_tests")
@pytest.mark.parametrize("location", [0, 1], ids=["prefix taken off", "prefix left on"])
def test_every_method_behind_a_proxy_with_a_prefix(live_shop: LiveShop, tmp_path: Path, location: int):
    with nginx(tmp_path, documented_locations()[location], live_shop.url) as url:
        npm(CLIENT, "run", "live", GEMSERVE_URL=f"{url}{PREFIX}/", GEMSERVE_KEY=live_shop.key)
