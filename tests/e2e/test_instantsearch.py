"""Algolia's own InstantSearch, with the widgets of the documented example, on the real server with a fake engine."""

import functools
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest
from redis import Redis
from selenium.webdriver import Chrome
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from server.cli.export_events import export_events
from server.core.settings import Settings
from tests.e2e.browser import Page
from tests.e2e.serving import ServedShop, served
from tests.e2e.shop import HOSTILE, HOSTILE_ITEM
from tests.support.node_clients import INSTANTSEARCH, TYPESCRIPT, build

pytestmark = pytest.mark.integration


TYPED_AT_ONCE = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input', {bubbles: true}))"


class Clients(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def example() -> Iterator[str]:
    build(TYPESCRIPT, INSTANTSEARCH)
    handler = functools.partial(Clients, directory=str(INSTANTSEARCH.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def open_shop(settings: Settings, example: str) -> Iterator[ServedShop]:
    with served(settings.model_copy(update={"cors_origins": [example]})) as shop:
        yield shop


@pytest.fixture
def widgets(chromium_driver: Chrome, open_shop: ServedShop, example: str) -> Iterator[Page]:
    page = Page(chromium_driver, example)
    chromium_driver.get(f"{example}/instantsearch/example/index.html?server={open_shop.url}")
    page.wait(lambda: len(hits(page)) == 6)
    yield page
    assert page.complaints() == []


def hits(page: Page) -> list[str]:
    return page.script("return [...document.querySelectorAll('#hits article')].map((hit) => hit.dataset.id)")


def asked(shop: ServedShop, **parameters: object) -> Any:
    return httpx.get(f"{shop.url}/search", params=parameters).raise_for_status().json()


def expected(shop: ServedShop, **parameters: object) -> list[str]:
    return [item["id"] for item in asked(shop, **parameters)["items"]]


def values(page: Page, container: str) -> dict[str, int]:
    rows = page.script(
        "return [...document.querySelectorAll(`${arguments[0]} li`)].map((row) =>"
        " [row.querySelector('[class*=label]:not(label)').textContent.trim().replace(/\\s+\\d+$/, ''),"
        " Number(row.querySelector('[class*=count]').textContent)])",
        container,
    )
    return dict(rows)


def test_nothing_typed_browses(widgets: Page, open_shop: ServedShop) -> None:
    assert hits(widgets) == expected(open_shop, q="*", k=6)
    assert widgets.text("#stats").startswith("30 results")


def test_typing_searches_and_marks_words(widgets: Page, open_shop: ServedShop) -> None:
    widgets.one("#searchbox input").send_keys("tent")
    wanted = expected(open_shop, q="tent", k=6)
    widgets.wait(lambda: hits(widgets) == wanted)
    assert {mark.text.lower() for mark in widgets.all("#hits mark")} == {"tent"}
    assert widgets.one("#hits article").get_attribute("data-query")


def test_pages_follow_each_other_and_are_those_of_the_cursor(widgets: Page, open_shop: ServedShop) -> None:
    wanted = expected(open_shop, q="*", k=30)
    for page, start in (("4", 18), ("2", 6)):
        widgets.click(f"#pagination a[aria-label='Page {page}']")
        widgets.wait(lambda start=start: hits(widgets) == wanted[start : start + 6])


def test_refinements_narrow_and_are_taken_back(widgets: Page, open_shop: ServedShop) -> None:
    widgets.wait(lambda: values(widgets, "#categories").get("Lamps") == 10)
    widgets.click("#categories li:nth-child(1) a")
    widgets.wait(lambda: widgets.text("#stats").startswith("10 results"))
    widgets.one("#brand input[type=checkbox]")
    widgets.click("#brand input[type=checkbox]")
    widgets.wait(lambda: len(widgets.all("#current .ais-CurrentRefinements-category")) == 2)
    widgets.click("#clear button")
    widgets.wait(lambda: widgets.text("#stats").startswith("30 results"))


def test_another_brand_keeps_its_count_beside_a_chosen_one(widgets: Page) -> None:
    widgets.click("#brand input[value=Alpina]")
    widgets.wait(lambda: widgets.text("#stats").startswith("29 results"))
    assert len(widgets.all("#brand li input[type=checkbox]")) == 2


def test_a_range_and_an_order(widgets: Page, open_shop: ServedShop) -> None:
    Select(widgets.one("#sort select")).select_by_value("items/sort/price:asc")
    cheapest = expected(open_shop, q="*", k=6, sort_by="price:asc")
    widgets.wait(lambda: hits(widgets) == cheapest)
    widgets.one("#price input").send_keys("15")
    widgets.wait(lambda: not widgets.all("#price .ais-RangeInput--noRefinement"))  # the widget has drawn what was typed
    widgets.press(Keys.ENTER)
    narrowed = expected(open_shop, q="*", k=6, sort_by="price:asc", filter="price >= 15")
    widgets.wait(lambda: hits(widgets) == narrowed)


def test_values_are_searched(widgets: Page) -> None:
    widgets.one("#brand input[type=search]").send_keys("alp")
    widgets.wait(lambda: [mark.text for mark in widgets.all("#brand mark")] == ["Alp"])


def test_what_is_done_with_hits_becomes_events_of_the_answer(
    widgets: Page, open_shop: ServedShop, settings: Settings, tmp_path: Path
) -> None:
    # At once: an answer to a part of the word may have the same hits, and be replaced once more.
    widgets.script(TYPED_AT_ONCE, widgets.one("#searchbox input"), "tent")
    wanted = expected(open_shop, q="tent", k=6)
    widgets.wait(lambda: hits(widgets) == wanted)
    answer = widgets.script("return document.querySelector('#hits article').dataset.query")
    widgets.click("#hits li:nth-child(2) button")
    widgets.click("#hits li:nth-child(3) a")  # which leaves the page
    widgets.wait(lambda: widgets.driver.current_url == "about:blank")

    def told() -> set[tuple[str, str]]:
        file = tmp_path / "events.parquet"
        with Redis.from_url(settings.redis) as redis:
            export_events(redis, file)
        rows = pq.read_table(file).to_pylist()
        return {(row["item_id"], row["type"]) for row in rows if row["request_id"] == answer and row["query"] == "tent"}

    shown = {(item, "impression") for item in wanted}
    clicks = {(wanted[1], "click"), (wanted[1], "cart"), (wanted[2], "click")}
    widgets.wait(lambda: shown | clicks == told())


def test_markup_in_a_title_stays_text(widgets: Page) -> None:
    widgets.one("#searchbox input").send_keys(HOSTILE_ITEM)
    widgets.wait(lambda: HOSTILE_ITEM in hits(widgets))
    shown = widgets.script("return document.querySelector(`[data-id='${arguments[0]}'] a`).textContent", HOSTILE_ITEM)
    assert shown == HOSTILE
    assert widgets.all("#hits img, #hits script") == []
