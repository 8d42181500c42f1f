"""Facet menus, the order of the items, what is active, and the address that brings all of it back."""

from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from tests.e2e.browser import PHONE, Page
from tests.e2e.shop import HOSTILE, item_table
from tests.e2e.test_access_for_all import AXE, assert_fits, breaches
from tests.support.small_shop import NAMES

pytestmark = pytest.mark.integration

SEASON = item_table()["season"].to_pylist()
SEASON_MENU = '.facet[data-column="season"]'


def open_menu(page: Page, column: str) -> None:
    page.click(f'.facet[data-column="{column}"] summary')
    page.one(f'.facet[data-column="{column}"] input')


def counts(page: Page, column: str) -> dict[str, int]:
    rows = page.script(
        "return [...document.querySelectorAll(`.facet[data-column='${arguments[0]}'] li`)].map((row) =>"
        " [row.querySelector('input').value, Number(row.querySelector('.facet-count').textContent)])",
        column,
    )
    return dict(rows)


def choose(page: Page, column: str, value: str) -> None:
    page.click(f'.facet[data-column="{column}"] input[value="{value}"]')


def sort_by(page: Page, value: str) -> None:
    page.wait(lambda: page.all(f'#sort option[value="{value}"]'))
    Select(page.one("#sort")).select_by_value(value)
    page.wait(lambda: page.is_settled("#shelf") and page.is_settled("#results"))


def active(page: Page) -> list[str]:
    return [chip.text.removesuffix(" ×") for chip in page.all(".active-chip")]


def summers() -> set[str]:
    return {name for name, season in zip(NAMES, SEASON, strict=True) if season == "summer"}


def test_menus_count_what_the_server_counts(page: Page) -> None:
    open_menu(page, "season")
    assert counts(page, "season") == {"summer": SEASON.count("summer"), "winter": SEASON.count("winter")}
    assert counts(page, "brand") == {"Alpina": 29, HOSTILE: 1}
    assert page.all(".facet[data-column=price], .facet[data-column=available], .facet[data-column=grams]") == []
    assert page.driver.title == "gemserve"


def test_a_value_narrows_and_its_column_still_counts_the_others(page: Page) -> None:
    before = counts(page, "season")
    open_menu(page, "season")
    choose(page, "season", "summer")
    page.wait(lambda: page.is_settled("#shelf") and set(page.ids()) <= summers())
    assert page.text("#shelf .listing-status") == f"12 of {len(summers())} items"
    assert counts(page, "season") == before
    assert sum(counts(page, "categories").values()) == 2 * len(summers())
    choose(page, "season", "winter")
    page.wait(lambda: active(page) == ["Season: summer", "Season: winter"])
    everything = before["summer"] + before["winter"]
    page.wait(lambda: page.text("#shelf .listing-status") == f"12 of {everything} items")


def test_search_narrows_too_and_counts_what_matches(page: Page) -> None:
    page.search("tent")
    wanted = {"q": "tent", "session": page.person(), "facets": "season"}
    expected = httpx.get(f"{page.url}/search", params=wanted).json()["facetDistribution"]["season"]
    page.wait(lambda: counts(page, "season") == expected)
    open_menu(page, "season")
    choose(page, "season", "summer")
    page.wait(lambda: page.is_settled("#results") and set(page.ids("#results")) <= summers())


def test_what_is_active_can_be_taken_back(page: Page) -> None:
    open_menu(page, "season")
    choose(page, "season", "summer")
    page.one("#price-low").send_keys("15", Keys.TAB)
    page.wait(lambda: active(page) == ["Season: summer", "Price from 15.00"])
    wanted = {NAMES[i] for i in range(5, 30)} & summers()
    page.wait(lambda: page.is_settled("#shelf") and set(page.ids()) == wanted)
    page.click(".active li:nth-child(2) button")
    page.wait(lambda: active(page) == ["Season: summer"])
    assert page.one("#price-low").get_attribute("value") == ""
    assert page.focused() == "Remove Season: summer"
    page.press(Keys.ENTER)
    page.wait(lambda: page.text("#shelf .listing-status") == "12 of 30 items")
    assert active(page) == []
    assert page.focused() == "Search the shop"
    assert page.driver.current_url == page.url + "/"


def test_items_come_in_the_order_of_a_column(page: Page) -> None:
    sort_by(page, "price:desc")
    page.wait(lambda: page.ids() == NAMES[:-13:-1])
    page.search("tent")
    tents = [NAMES[i] for i in range(27, -1, -3)]
    assert page.ids("#results") == tents
    sort_by(page, "price:asc")
    page.wait(lambda: page.ids("#results") == tents[::-1])


def test_the_address_brings_filters_and_order_back(page: Page) -> None:
    open_menu(page, "season")
    choose(page, "season", "summer")
    page.one("#price-high").send_keys("30", Keys.TAB)
    sort_by(page, "price:desc")
    page.search("tent")
    found, address = page.ids("#results"), page.driver.current_url
    assert found
    assert parse_qs(urlsplit(address).query) == {
        "refine": ["season:summer"],
        "price": ["..30"],
        "sort": ["price:desc"],
        "q": ["tent"],
    }
    page.open(address.removeprefix(page.url))
    page.wait(lambda: page.ids("#results") == found)
    page.wait(lambda: Select(page.one("#sort")).first_selected_option.text == "Price, highest first")
    assert active(page) == ["Season: summer", "Price up to 30.00"]
    assert page.one("#price-high").get_attribute("value") == "30"
    open_menu(page, "season")
    assert page.one(f'{SEASON_MENU} input[value="summer"]').is_selected()


def test_a_value_with_marks_of_its_own_is_a_value(page: Page) -> None:
    page.open(f"/?{httpx.QueryParams({'refine': 'brand:' + HOSTILE})}")
    page.wait(lambda: page.ids() == [NAMES[2]])
    assert active(page) == [f"Brand: {HOSTILE}"]
    assert page.driver.title == "gemserve"


def test_a_broken_address_is_told_and_can_be_mended(page: Page) -> None:
    page.open("/?refine=nowhere:3&refine=&price=x..y")
    assert "nowhere" in page.text("#shelf .message")
    page.click(".active-chip")
    page.wait(lambda: len(page.ids()) == 12)
    page.open("/?sort=nowhere:asc")
    assert "nowhere" in page.text("#shelf .message")


def test_nothing_left_offers_to_clear_the_filters(page: Page) -> None:
    page.one("#price-low").send_keys("1000", Keys.TAB)
    assert "Nothing to recommend" in page.text("#shelf .message")
    page.click("#shelf .message .button")
    page.wait(lambda: page.text("#shelf .listing-status") == "12 of 30 items")
    assert active(page) == []


def test_keys_alone_choose_values(page: Page) -> None:
    page.one(SEASON_MENU)
    page.script("document.querySelector(arguments[0]).focus()", f"{SEASON_MENU} summary")
    page.press(Keys.ENTER)
    page.one(f"{SEASON_MENU} input")
    page.press(Keys.TAB)
    page.press(Keys.SPACE)
    page.wait(lambda: active(page) != [] and page.text("#shelf .listing-status").startswith("12 of 1"))
    assert page.script("return document.activeElement.value") in ("summer", "winter")
    page.press(Keys.ESCAPE)
    assert not page.all(f"{SEASON_MENU}[open]")
    assert page.focused().endswith("Season (1)")


def test_a_menu_closes_where_one_looks_elsewhere(page: Page) -> None:
    open_menu(page, "season")
    page.click("#shelf-heading")
    page.wait(lambda: not page.all(".facet[open]"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_menus_and_chips(page: Page, scheme: str) -> None:
    page.prefer(scheme)
    page.script(AXE.read_text())
    open_menu(page, "season")
    choose(page, "season", "summer")
    page.wait(lambda: page.is_settled("#shelf") and active(page))
    assert breaches(page) == []


def test_a_menu_fits_on_a_phone(page: Page) -> None:
    page.resize(*PHONE)
    for column in ("brand", "categories", "season"):
        open_menu(page, column)
        assert_fits(page)
        box = page.one(f'.facet[data-column="{column}"] fieldset').rect
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= PHONE[0]
