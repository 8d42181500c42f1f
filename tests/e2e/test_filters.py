"""Filters: chosen, typed, mistyped, and put away."""

import pytest
from selenium.webdriver.common.keys import Keys

from tests.e2e.browser import Page
from tests.support.small_shop import NAMES

pytestmark = pytest.mark.integration


def numbers(page: Page, section: str = "#shelf") -> set[int]:
    return {NAMES.index(item) for item in page.ids(section)}


def chip(page: Page, name: str) -> None:
    page.wait(lambda: next((c for c in page.all(".chip") if c.text == name and c.is_displayed()), None)).click()


def apply(page: Page, expression: str) -> None:
    if not page.all(".advanced[open]"):
        page.click(".advanced summary")
    page.one("#expression").send_keys(Keys.CONTROL, "a")
    page.one("#expression").send_keys(expression, Keys.ENTER)


def test_chips_are_the_categories_that_tell_items_apart(page: Page) -> None:
    page.one(".chip")
    assert {c.text for c in page.all(".chip")} == {"Tents", "Lamps", "Ropes"}  # all are Outdoor


def test_a_chip_limits_shelf_and_search(page: Page) -> None:
    chip(page, "Lamps")
    page.wait(lambda: numbers(page) == set(range(1, 30, 3)))
    page.search("tent")
    assert numbers(page, "#results") == set(range(1, 30, 3))
    chip(page, "Ropes")
    page.click("#results .more")
    page.wait(lambda: len(page.ids("#results")) == 20)
    assert {number % 3 for number in numbers(page, "#results")} == {1, 2}


def test_a_price_range_limits_them(page: Page) -> None:
    page.one("#price-low").send_keys("15", Keys.TAB)
    page.one("#price-high").send_keys("17.5", Keys.TAB)
    page.wait(lambda: numbers(page) == {5, 6, 7})
    page.one("#price-low").send_keys(Keys.CONTROL, "a")
    page.one("#price-low").send_keys("20", Keys.TAB)
    assert page.text("#price-problem") == "The lowest price is above the highest."
    assert numbers(page) == {5, 6, 7}


def test_an_expression_limits_them_together_with_the_rest(page: Page) -> None:
    apply(page, "grams >= 2500 or grams < 300")
    page.wait(lambda: numbers(page) == {0, 1, 2, 25, 26, 27, 28, 29})
    chip(page, "Tents")
    page.wait(lambda: numbers(page) == {0, 27})
    page.click("#clear-filters")
    page.wait(lambda: len(page.ids()) == 12)
    assert page.one("#expression").get_attribute("value") == ""


def test_a_mistake_is_underlined_where_it_is(page: Page) -> None:
    before = page.ids()
    apply(page, 'brand = "𝔄" and colr = 3')
    assert page.text("#expression-problem mark") == "colr"
    assert "colr" in page.text("#expression-problem p")
    assert page.one("#expression").get_attribute("aria-invalid") == "true"
    assert page.ids() == before
    apply(page, "grams < 100")
    page.wait(lambda: numbers(page) == {0})
    assert page.all("#expression-problem mark") == []


def test_nothing_left_is_said_and_undone(page: Page) -> None:
    apply(page, "price > 1000")
    assert "Nothing to recommend" in page.text("#shelf .message")
    page.search("tent")
    assert "Nothing fits" in page.text("#results .message")
    page.click("#clear-filters")
    page.wait(lambda: len(page.ids("#results")) == 12)
    assert not any(message.is_displayed() for message in page.all(".message"))
