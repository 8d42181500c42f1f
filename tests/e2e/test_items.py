"""An item in full, why it was shown, what is like it, and items that mean harm."""

import httpx
import pytest
from selenium.webdriver.common.keys import Keys

from tests.e2e.browser import Page
from tests.e2e.shop import HOSTILE, HOSTILE_ITEM, UNTITLED

pytestmark = pytest.mark.integration


def open_item(page: Page, item: str) -> None:
    """Whatever the engine thinks of it."""
    page.click(".advanced summary")
    page.one("#expression").send_keys(f'id = "{item}"', Keys.ENTER)
    page.wait(lambda: page.ids() == [item])
    page.click("#shelf .card-open")
    page.one("#item-heading")


def test_an_item_shows_every_column_and_what_is_like_it(page: Page) -> None:
    open_item(page, "item-7")
    assert page.text("#item-heading") == "Lamp number 7"
    assert page.text(".item-price") == "17.00"
    assert page.text(".item-description") == "What number 7 is good for."
    assert page.text("#item-body .facts").splitlines() == ["season", "winter", "grams", "700"]  # drawn with capitals
    page.wait(lambda: page.all(".strip .card-open"))
    similar = httpx.get(f"{page.url}/items/item-7/similar", params={"k": 6}).json()["items"]
    assert page.ids(".strip") == [item["id"] for item in similar]


def test_a_similar_item_takes_its_place(page: Page) -> None:
    open_item(page, "item-7")
    title = page.one(".strip .card-open").text
    page.click(".strip .card-open")
    page.wait(lambda: page.text("#item-heading") == title)
    page.press(Keys.ESCAPE)
    page.wait(lambda: not page.all("dialog[open]"))


def test_why_this_explains_in_words_and_bars(page: Page) -> None:
    page.all("#shelf .card-open")[4].click()
    page.wait(lambda: len(page.all(".visit")) == 1)
    page.close_dialog()
    page.search("tent")
    title = page.titles("#results")[2]
    page.all("#results .card-why")[2].click()
    page.wait(lambda: len(page.all("#why-dialog .level")) == 2)
    assert page.text("#why-item") == title
    assert page.text("#why-reason")
    assert 0 < float(page.one("[data-relevance]").get_attribute("data-relevance") or 0) <= 1
    assert "% of items like it" in page.text("#why-body")
    rows = page.all("#why-dialog .share")
    assert {row.get_attribute("data-source") for row in rows} > {"model", "words"}
    shares = [float(share.text.removesuffix("%").removeprefix("< ")) for share in page.all(".level-share")]
    assert all(0 < share <= 100 for share in shares)
    assert all(bar.size["width"] > 0 for bar in page.all(".bar-fill"))
    assert page.text("#why-body").splitlines()[-1].startswith(("It made this item", "Hardly anything"))


def test_without_a_history_why_this_says_so(page: Page) -> None:
    page.click("#shelf .card-why")
    page.wait(lambda: "You have none yet" in page.text("#why-body"))


def test_markup_in_a_catalog_stays_text(page: Page) -> None:
    open_item(page, HOSTILE_ITEM)
    assert page.text("#item-heading") == HOSTILE
    page.wait(lambda: page.all(".visit-open"))
    assert page.text(".visit-open") == HOSTILE
    assert page.titles() == [] or HOSTILE not in page.driver.title
    assert page.driver.title == "gemserve"
    assert page.all("main img, main script, dialog img, dialog script, aside img") == []


def test_markup_in_a_query_stays_text(page: Page) -> None:
    page.search(HOSTILE)
    assert page.text("#results-heading") == f"Results for “{HOSTILE}”"
    assert page.driver.title == "gemserve"


def test_an_item_without_a_title_goes_by_its_id(page: Page) -> None:
    open_item(page, UNTITLED)
    assert page.text("#item-heading") == UNTITLED
