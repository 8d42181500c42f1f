"""A browser's own `navigator.sendBeacon`: from the server's page, from a page that may, and from one that may not."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.support.wait import WebDriverWait

from server.core.settings import Settings
from tests.e2e.browser import Page
from tests.e2e.serving import ServedShop, served

pytestmark = [pytest.mark.integration, pytest.mark.slow]

NAME = "gemserve_request_seconds_count{"
SEND = """
const [address, event, kind] = arguments;
const text = JSON.stringify(event);
const body = kind === null ? text : new Blob([text], {type: kind});
return navigator.sendBeacon(address, body);
"""


class EmptyPage(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>Another shop</title>")

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def another_origin() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), EmptyPage) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def elsewhere() -> Iterator[str]:
    with another_origin() as origin:
        yield origin


def event_of(user: str) -> dict[str, str]:
    return {"user_id": user, "item_id": "item-9", "type": "view"}


def history(shop: ServedShop, user: str) -> int:
    return int(httpx.get(f"{shop.url}/users/{user}/history").json()["total"])


def refused(shop: ServedShop) -> int:
    """Events that were answered with an error of the caller's so far."""
    lines = httpx.get(f"{shop.url}/metrics").text.splitlines()
    return sum(
        int(float(line.split()[-1]))
        for line in lines
        if line.startswith(NAME) and "refused" in line and "/events" in line
    )


@pytest.mark.parametrize("kind", [None, "", "text/plain", "application/json"])
def test_a_beacon_of_the_servers_own_page_records_an_event(page: Page, shop: ServedShop, kind: str | None) -> None:
    user = f"beacon-{kind}".replace("/", "-")
    assert page.driver.execute_script(SEND, "events", event_of(user), kind)
    page.wait(lambda: history(shop, user) == 1)


def test_a_beacon_is_sent_while_its_page_is_left(page: Page, shop: ServedShop) -> None:
    event = json.dumps(json.dumps(event_of("leaver")))
    page.driver.execute_script(f"addEventListener('pagehide', () => navigator.sendBeacon('events', {event}))")
    page.driver.get("about:blank")
    page.wait(lambda: history(shop, "leaver") == 1)


@pytest.mark.parametrize("kind", [None, "", "text/plain"])
def test_a_beacon_of_an_origin_that_is_not_allowed_is_refused(
    chromium_driver: Chrome, shop: ServedShop, elsewhere: str, kind: str | None
) -> None:
    before = refused(shop)
    chromium_driver.get(elsewhere)
    assert chromium_driver.execute_script(SEND, f"{shop.url}/events", event_of("stranger"), kind)
    WebDriverWait(chromium_driver, 60).until(lambda _: refused(shop) == before + 1)
    assert history(shop, "stranger") == 0


def test_a_beacon_of_an_origin_that_is_allowed_records_an_event(
    chromium_driver: Chrome, settings: Settings, elsewhere: str
) -> None:
    with served(settings.model_copy(update={"cors_origins": [elsewhere]})) as shop:
        chromium_driver.get(elsewhere)
        assert chromium_driver.execute_script(SEND, f"{shop.url}/events", event_of("partner"), None)
        WebDriverWait(chromium_driver, 60).until(lambda _: history(shop, "partner") == 1)
