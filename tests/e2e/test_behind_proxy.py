"""The page, the documentation and the client behind a real nginx, as docs/operations.md has it set up."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from selenium.webdriver import Chrome

from gemserve_client import Client
from server.core.settings import Settings
from tests.e2e.browser import Page
from tests.e2e.serving import served
from tests.support.nginx import documented_locations, nginx

pytestmark = [pytest.mark.integration, pytest.mark.slow]

PREFIX = "/gemserve"
SEARCH = "#operations-answers-search"


@pytest.fixture(scope="module", params=[0, 1], ids=["prefix taken off", "prefix left on"])
def address(
    request: pytest.FixtureRequest, settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Of the shop behind nginx, without a slash at its end."""
    folder: Path = tmp_path_factory.mktemp("nginx")
    locations = documented_locations()[request.param]
    with (
        served(settings.model_copy(update={"root_path": PREFIX})) as shop,
        nginx(folder, locations, shop.url) as url,
    ):
        yield url + PREFIX


def test_the_page_searches_and_finds_its_way_back(chromium_driver: Chrome, address: str) -> None:
    page = Page(chromium_driver, address)
    page.open()
    home = page.titles()
    assert home
    page.search("warm tent")
    assert page.driver.current_url == f"{address}/?q=warm+tent"
    results = page.ids("#results")
    assert results
    page.driver.refresh()
    page.wait(lambda: page.ids("#results"))
    assert page.ids("#results") == results
    page.driver.get("about:blank")
    page.driver.back()
    page.wait(lambda: page.ids("#results"))
    assert page.ids("#results") == results
    page.clear()
    assert page.titles() == home
    assert page.driver.current_url == f"{address}/"
    asked = page.driver.execute_script("return performance.getEntriesByType('resource').map(e => e.name)")
    assert asked
    assert [name for name in asked if not name.startswith((f"{address}/", "data:"))] == []
    assert page.complaints() == []


def test_the_admin_page_finds_everything(chromium_driver: Chrome, address: str) -> None:
    """The server of these tests has no keys and a closed administration: health is told, and models ask for a key."""
    page = Page(chromium_driver, address)
    page.driver.get(f"{address}/admin")
    page.wait(lambda: "alive" in page.text("#health") and page.all("#models [role=alert], #key-dialog[open]"))
    asked = page.driver.execute_script("return performance.getEntriesByType('resource').map(e => e.name)")
    assert [name for name in asked if not name.startswith((f"{address}/", "data:"))] == []


def test_the_documentation_tries_the_api(chromium_driver: Chrome, address: str) -> None:
    page = Page(chromium_driver, address)
    page.driver.get(f"{address}/docs")
    page.one(f"{SEARCH} .opblock-summary-control").click()
    query = page.one(f"{SEARCH} tr[data-param-name='q'] input")
    query.clear()
    query.send_keys("tent")
    page.one(f"{SEARCH} .execute").click()
    assert page.text(f"{SEARCH} .live-responses-table tr.response .response-col_status").startswith("200")
    assert f"\n{address}/search?" in page.text(f"{SEARCH} .request-url")


def test_the_client_and_plain_requests_find_everything(address: str) -> None:
    with Client(address) as client:
        assert client.search("tent").items
    for path in ("/health/ready", "/docs", "/openapi.json", "/metrics"):
        head = httpx.head(address + path)
        assert (head.status_code, head.content) == (200, b"")
    assert httpx.get(f"{address}/openapi.json").json()["servers"] == [{"url": PREFIX}]
    led = httpx.get(f"{address}?q=tent", follow_redirects=True)
    assert (led.status_code, led.url) == (200, f"{address}/?q=tent")
    beacon = {"Origin": address.removesuffix(PREFIX), "Content-Type": "text/plain"}
    body = '{"user": "ada", "item": "item-9", "type": "view"}'
    assert httpx.post(f"{address}/events", content=body, headers=beacon).status_code == 202
