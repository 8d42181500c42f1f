"""The shelf and the history follow what somebody does, and belong to whom they belong."""

import httpx
import pytest
from selenium.webdriver.common.keys import Keys

from tests.e2e.browser import Page
from tests.e2e.serving import ServedShop

pytestmark = pytest.mark.integration


def visits(page: Page) -> list[str]:
    return [entry.text for entry in page.all(".visit-open")]


def open_card(page: Page, section: str, place: int) -> str:
    """Its title. Waits until the click has reached the history, then closes the item."""
    before = len(visits(page))
    title = page.titles(section)[place]
    page.all(f"{section} .card-open")[place].click()
    page.wait(lambda: len(visits(page)) == before + 1)
    page.close_dialog()
    return title


def test_a_click_changes_history_and_shelf(page: Page) -> None:
    before = page.titles()
    assert page.text("#shelf-intro").startswith("A first look around")
    opened = open_card(page, "#shelf", 4)
    page.wait(lambda: page.is_settled("#shelf") and page.titles() != before)
    assert visits(page) == [opened]
    assert opened not in page.titles()
    assert page.text("#shelf-intro").startswith("Chosen after what you looked at")


def test_an_event_tells_what_led_to_it(page: Page) -> None:
    page.search("rope")
    opened = open_card(page, "#results", 4)
    assert page.text(".visit-when") == "opened just now, after “rope”"
    history = httpx.get(f"{page.url}/users/{page.person()}/history").json()["events"]
    assert [(event["title"], event["query"], event["type"]) for event in history] == [(opened, "rope", "click")]


def test_the_basket_is_an_event_too(page: Page) -> None:
    page.all("#shelf .card-open")[5].click()
    page.wait(lambda: len(visits(page)) == 1)
    page.click("#item-dialog .primary")
    page.wait(lambda: len(visits(page)) == 2)
    assert page.text(".notice.done").endswith("is in your basket")
    assert [entry.text for entry in page.all(".visit-when")] == ["put into the basket just now", "opened just now"]


def test_a_history_opens_items(page: Page) -> None:
    opened = open_card(page, "#shelf", 4)
    page.click(".visit-open")
    assert page.text("#item-heading") == opened


def sign_in(page: Page, user: str) -> None:
    page.click("#person")
    page.one("#user-id").send_keys(user, Keys.ENTER)


def test_users_have_histories_of_their_own(page: Page) -> None:
    visitor = page.person()
    page.click("#person")
    assert visitor in page.text("#person-now")
    page.close_dialog()
    sign_in(page, "ann/of: Green Gables?")
    page.wait(lambda: page.text("#person-name") == "ann/of: Green Gables?" and page.is_settled("#shelf"))
    opened = open_card(page, "#shelf", 6)
    page.wait(lambda: page.is_settled("#shelf") and opened not in page.titles())
    sign_in(page, "ben")
    page.wait(lambda: visits(page) == [] and page.is_settled("#shelf"))
    assert page.text("#shelf-intro").startswith("A first look around")
    assert opened in page.titles(), "ann has seen it, ben has not"
    sign_in(page, "ann/of: Green Gables?")
    page.wait(lambda: visits(page) == [opened])
    page.driver.refresh()
    page.wait(lambda: visits(page) == [opened])


def test_what_a_visitor_did_goes_with_them_to_the_user_they_sign_in_as(page: Page) -> None:
    visitor, opened = page.person(), open_card(page, "#shelf", 4)
    sign_in(page, "carla")
    page.wait(lambda: page.text(".notice.done") == "What you did as a visitor is now part of carla’s history.")
    page.wait(lambda: visits(page) == [opened] and page.person() == "carla")
    assert opened not in page.titles()
    history = httpx.get(f"{page.url}/users/carla/history").json()["events"]
    assert [event["title"] for event in history] == [opened]
    assert httpx.get(f"{page.url}/users/{visitor}/history").json()["events"] == []


def test_what_belongs_to_another_user_stays_theirs(page: Page) -> None:
    visitor, opened = page.person(), open_card(page, "#shelf", 4)
    merged = httpx.post(f"{page.url}/users/dora/merge", json={"session": visitor})
    assert merged.json()["moved"] == 1
    sign_in(page, "emil")
    page.wait(lambda: page.text(".notice.failed").startswith("What you did as a visitor belongs to another user"))
    page.wait(lambda: visits(page) == [] and page.person() == "emil")
    assert [e["title"] for e in httpx.get(f"{page.url}/users/dora/history").json()["events"]] == [opened]
    page.click("#person")
    page.click("#new-visitor")
    page.wait(lambda: page.text("#person-name") == "Visitor")
    assert page.person() != visitor


def test_opened_again_the_page_asks_for_none_of_its_files(page: Page) -> None:
    page.open()
    sent = page.script(
        "return performance.getEntriesByType('resource').filter(({name}) => name.includes('/static/'))"
        ".map(({name, transferSize}) => [name, transferSize])"
    )
    assert any(name.endswith("/app.js") for name, _ in sent)
    assert [name for name, size in sent if size > 0] == []


def test_a_new_visitor_begins_anew(page: Page) -> None:
    visitor = page.person()
    open_card(page, "#shelf", 4)
    page.click("#person")
    page.click("#new-visitor")
    page.wait(lambda: visits(page) == [])
    assert page.person() != visitor
    assert page.text("#history-note") == "Nothing yet. What you open appears here."


def test_figures_of_the_last_answer_are_shown(page: Page, shop: ServedShop) -> None:
    page.search("tent")
    assert page.text("#round-trip").endswith((" ms", " s"))
    told = httpx.get(f"{shop.url}/version").json()
    assert page.text("#model") in {told["model"], "2025-11-21-b"}  # with which another test shares the queries
    assert page.text("#catalog") == str(told["catalog_version"])
    page.wait(lambda: page.text("#items") == str(told["items"]))
    assert "round trips" in page.one("#sparkline svg").get_attribute("aria-label")
    assert not any(badge.is_displayed() for badge in page.all("#degraded"))
