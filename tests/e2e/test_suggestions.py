"""Suggestions below the search box, as a combobox for keyboard, pointer and screen reader."""

from urllib.parse import urlencode

import httpx
import pytest
from selenium.webdriver.common.keys import Keys

from tests.e2e.browser import PHONE, Page
from tests.e2e.serving import ServedShop
from tests.e2e.test_access_for_all import AXE, assert_fits, breaches

pytestmark = pytest.mark.integration

ANSWERED = "return performance.getEntriesByType('resource').some(({name}) => name.includes(arguments[0]))"
GROUPS = ("Searches", "Categories and brands", "Items")


def options(page: Page) -> list[str]:
    """What can be seen, in the order in which the arrows go."""
    texts = "return [...document.querySelectorAll('#suggestions:not([hidden]) [role=option] .suggestion-text')]"
    return page.script(f"{texts}.map((text) => text.textContent)")


def active(page: Page) -> str | None:
    """The option that a screen reader reads while the focus is in the box."""
    found = page.script(
        "const option = document.getElementById(document.activeElement.getAttribute('aria-activedescendant'));"
        "return option?.querySelector('.suggestion-text').textContent"
    )
    assert page.focused().startswith("Search the shop")
    return found


def is_open(page: Page) -> bool:
    return page.one("#query").get_attribute("aria-expanded") == "true"


def type_for(page: Page, typed: str) -> list[str]:
    """Types it and waits for what the server suggests, for the whole of it. Which items are popular may change
    meanwhile."""
    page.script("performance.clearResourceTimings()")
    page.type(typed)
    found = httpx.get(f"{page.url}/suggest", params={"q": typed, "k": 4}).raise_for_status().json()
    first = [query["text"] for query in found["queries"]] + [value["value"] for value in found["categories"]]
    wanted = first, len(first) + len(found["items"])
    page.wait(lambda: page.script(ANSWERED, f"/suggest?{urlencode({'q': typed, 'k': 4})}"))
    page.wait(lambda: ((shown := options(page))[: len(first)], len(shown)) == wanted)
    return options(page)


def test_arrows_go_through_searches_categories_and_items(page: Page) -> None:
    shown = type_for(page, "ten")
    searches = shown[: shown.index("Tents")]
    assert {"tent poles", "tents for two"} <= set(searches)  # and what other tests have typed
    assert [title.text for title in page.all(".suggestions-title")] == list(GROUPS)
    strong = [part.text for part in page.all(".suggestion strong")[: len(searches) + 1]]
    assert strong == [*(text.removeprefix("ten") for text in searches), "Ten"]
    said = f"Suggestions: {len(searches)} searches, 1 category or brand, 4 items. Arrow keys go through them."
    assert page.script("return document.getElementById('suggestions-status').textContent") == said
    assert active(page) is None
    walked = []
    for _ in shown:
        page.press(Keys.ARROW_DOWN)
        walked.append(active(page))
    assert walked == shown
    page.press(Keys.ARROW_DOWN)
    assert active(page) is None
    page.press(Keys.ARROW_UP)
    assert active(page) == shown[-1]
    page.press(Keys.ESCAPE)
    assert not is_open(page)
    assert page.one("#query").get_attribute("value") == "ten"
    page.press(Keys.ALT, Keys.ARROW_DOWN)
    page.wait(lambda: options(page) == shown)
    page.press(Keys.ARROW_DOWN, Keys.ENTER)
    page.wait(lambda: page.text("#results-heading") == f"Results for “{shown[0]}”" and page.is_settled("#results"))
    assert page.one("#query").get_attribute("value") == shown[0]
    assert not is_open(page)


def test_a_category_narrows_and_an_item_opens(page: Page) -> None:
    type_for(page, "rop")
    page.click("#suggestions ul:nth-child(2) [role=option]")
    page.wait(lambda: "refine=categories%3ARopes" in page.driver.current_url)
    assert page.one("#query").get_attribute("value") == ""
    page.one("#shelf")
    title = type_for(page, "rope number")[-1]
    page.click("#suggestions ul:last-child li:last-child")
    page.wait(lambda: page.text("#item-heading") == title)
    assert not {"start", "end"} & {fact.text.lower() for fact in page.all("#item-dialog dt")}


def test_only_the_newest_suggestions_are_shown_and_none_where_there_are_none(page: Page, shop: ServedShop) -> None:
    shop.delays["q=lam&k=4"] = 1.0
    shop.delays["q=ten&k=4"] = 1.2  # what is answered after those of before would have been
    page.type("lam")
    page.wait(lambda: page.text("#results-heading") == "Results for “lam”")  # suggestions are asked for before results
    assert "Lamps" not in type_for(page, "ten")
    page.type("zzzz")
    page.wait(lambda: not is_open(page))
    page.wait(lambda: page.text("#results-heading") == "Results for “zzzz”")
    page.wait(lambda: page.is_settled("#results") and page.ids("#results"))
    page.press(Keys.ARROW_DOWN)
    assert page.focused().strip() == page.titles("#results")[0]


def test_escape_takes_back_what_is_still_to_come(page: Page, shop: ServedShop) -> None:
    type_for(page, "te")
    shop.delays["q=ten&k=4"] = 0.5
    page.press("n")
    page.wait(lambda: page.text("#results-heading") == "Results for “ten”")  # suggestions are asked for before results
    assert is_open(page)
    page.press(Keys.ESCAPE)
    asked_later = "const done = arguments[0]; fetch('./suggest?q=ten&k=4').then(() => done())"
    page.driver.execute_async_script(asked_later)
    assert not is_open(page)


def test_nobody_is_kept_out_and_nothing_is_cut_off(page: Page) -> None:
    page.script(AXE.read_text())
    type_for(page, "ten")
    page.press(Keys.ARROW_DOWN)
    found = breaches(page)
    page.prefer("dark")
    found += breaches(page)
    assert found == []
    page.resize(*PHONE)
    assert_fits(page)
    box, listed = page.one("#query").rect, page.one("#suggestions").rect
    assert (listed["x"], listed["width"]) == (box["x"], box["width"])
