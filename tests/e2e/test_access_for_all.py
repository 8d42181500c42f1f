"""The page for people with a keyboard only, a screen reader, a dark room or a small phone."""

from pathlib import Path

import pytest
from selenium.webdriver.common.keys import Keys

from tests.e2e.browser import PHONE, Page

pytestmark = pytest.mark.integration

AXE = Path(__file__).parent / "node_modules/axe-core/axe.min.js"


def test_keys_alone_reach_search_results_an_item_and_back(page: Page) -> None:
    page.press("/")
    assert page.focused().startswith("Search the shop")
    page.press("tent")
    page.wait(lambda: page.text("#results-heading") == "Results for “tent”" and page.is_settled("#results"))
    titles = page.titles("#results")
    page.one("#suggestions")
    page.press(Keys.ESCAPE)
    page.press(Keys.ARROW_DOWN)
    assert page.focused().strip() == titles[0]
    page.press(Keys.ARROW_RIGHT)
    assert page.focused().strip() == titles[1]
    page.press(Keys.ARROW_DOWN)
    below = titles.index(page.focused().strip())
    assert below > 1
    page.press(Keys.ARROW_UP)
    page.press(Keys.ENTER)
    assert page.text("#item-heading") == titles[1]
    page.press(Keys.ESCAPE)
    page.wait(lambda: not page.all("dialog[open]"))
    assert page.focused().strip() == titles[1]
    page.press(Keys.TAB)
    assert page.focused() == f"Why this? {titles[1]}"
    page.press(Keys.ENTER)
    page.wait(lambda: page.all("#why-dialog[open] .level"))
    page.press(Keys.ESCAPE)
    page.wait(lambda: not page.all("dialog[open]"))
    page.press(Keys.SHIFT, Keys.TAB)
    page.press(Keys.ESCAPE)
    assert page.focused().startswith("Search the shop")


def test_every_focus_can_be_seen(page: Page) -> None:
    page.one(".chip")
    seen = set()
    for _ in range(24):
        page.press(Keys.TAB)
        place = page.script(
            "const e = document.activeElement; const shown = e.matches('.card-open') ? e.closest('.card') : e;"
            "return [e.id || e.getAttribute('aria-label') || e.textContent, getComputedStyle(shown).outlineStyle]"
        )
        seen.add(place[0])
        assert place[1] != "none", f"{place[0]} does not show that it has the focus"
    assert len(seen) == 24


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(page: Page, scheme: str) -> None:
    if not AXE.exists():
        pytest.fail("axe-core is not installed: npm ci --prefix tests/e2e")
    page.prefer(scheme)
    page.one(".chip")
    page.script(AXE.read_text())
    found = breaches(page)
    page.search("tent")
    found += breaches(page)
    page.click("#results .card-why")
    page.wait(lambda: page.all("#why-dialog .level"))
    found += breaches(page)
    page.close_dialog()
    page.click("#results .card-open")
    page.wait(lambda: page.all(".strip .card-open") and page.all(".visit"))
    found += breaches(page)
    page.close_dialog()
    page.click("#person")
    found += breaches(page)
    assert found == []


def breaches(page: Page) -> list[str]:
    """Rules of WCAG 2.2 A and AA and of good practice that the page breaks, each with the elements."""
    result = page.driver.execute_async_script(
        "const done = arguments[0]; axe.run({resultTypes: ['violations']}).then(done, (error) => done(String(error)))"
    )
    assert isinstance(result, dict), result
    return [f"{rule['id']}: {[node['target'] for node in rule['nodes']]}" for rule in result["violations"]]


def test_colours_follow_the_system_until_chosen(page: Page) -> None:
    def lightness() -> int:
        colour = page.script("return getComputedStyle(document.body).backgroundColor")
        return sum(int(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(","))

    assert lightness() > 600
    page.prefer("dark")
    assert lightness() < 100
    page.click("#theme")
    assert lightness() > 600
    page.driver.refresh()
    assert lightness() > 600
    assert page.one("#theme").get_attribute("aria-pressed") == "false"


def test_a_phone_needs_no_sideways_scrolling(page: Page) -> None:
    page.resize(*PHONE)
    page.one(".chip")
    page.click(".advanced summary")
    assert_fits(page)
    page.search("tent")
    for _ in range(2):  # down to the item whose title has no place to break
        shown = len(page.ids("#results"))
        page.click("#results .more")
        page.wait(lambda shown=shown: len(page.ids("#results")) > shown)
    assert_fits(page)
    page.click("#results .card-open")
    page.wait(lambda: page.all(".strip .card-open"))
    assert_fits(page)
    assert page.one("#item-dialog").rect["width"] <= PHONE[0]


def assert_fits(page: Page) -> None:
    assert page.script("return document.documentElement.scrollWidth") <= PHONE[0]


def test_nothing_moves_while_one_types(page: Page) -> None:
    page.search("t")
    place = page.one("#results .grid").rect
    moved = "window.moved = 0; new PerformanceObserver((list) => { for (const entry of list.getEntries())"
    page.script(moved + " if (entry.value) window.moved += entry.value }).observe({type: 'layout-shift'})")
    for text in ("te", "ten", "tent", "tents"):
        page.search(text)
    assert page.one("#results .grid").rect == place
    assert page.script("return window.moved") == 0
