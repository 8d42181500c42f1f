"""The TypeScript client: its types are the server's present ones, its own tests, and every method against a server."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.clients.conftest import PREFIX, LiveShop
from tests.support.nginx import documented_locations, nginx
from tests.support.paths import ROOT

CLIENT = ROOT / "clients/typescript"
RENEW = "run `npm run schema` in clients/typescript"


def npm(*words: str, **environment: str) -> None:
    """Runs an npm script. `make test` installs what it needs; by hand: `npm ci` in clients/typescript."""
    done = subprocess.run(
        ["npm", *words], cwd=CLIENT, env=os.environ | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-4_000:]


@pytest.fixture(scope="module")
def built_tests():
    npm("run", "pretest")


def test_the_types_are_of_the_present_api(tmp_path):
    renewed = tmp_path / "schema.ts"
    npm("exec", "--", "openapi-typescript", "../../docs/openapi.json", "--output", str(renewed))
    committed = (CLIENT / "src/schema.ts").read_text(encoding="utf-8")
    assert committed == renewed.read_text(encoding="utf-8"), f"docs/openapi.json has changed: {RENEW}"


def test_it_builds():
    npm("run", "build")
    assert (CLIENT / "dist/index.d.ts").is_file()


@pytest.mark.usefixtures("built_tests")
def test_its_own_tests_pass():
    npm("test", "--ignore-scripts")


@pytest.mark.integration
@pytest.mark.usefixtures("built_tests")
def test_every_method_against_a_server(live_shop: LiveShop):
    npm("run", "live", GEMSERVE_URL=live_shop.url, GEMSERVE_KEY=live_shop.key)


@pytest.mark.integration
@pytest.mark.usefixtures("built_tests")
@pytest.mark.parametrize("location", [0, 1], ids=["prefix taken off", "prefix left on"])
def test_every_method_behind_a_proxy_with_a_prefix(live_shop: LiveShop, tmp_path: Path, location: int):
    with nginx(tmp_path, documented_locations()[location], live_shop.url) as url:
        npm("run", "live", GEMSERVE_URL=f"{url}{PREFIX}/", GEMSERVE_KEY=live_shop.key)
