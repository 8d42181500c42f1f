"""Searching in the page: the newest question's answer and nothing else."""

import httpx
import pytest

from tests.e2e.browser import Page
from tests.e2e.serving import ServedShop

pytestmark = pytest.mark.integration


def asked(page: Page, path: str, **parameters: object) -> list[str]:
    """Ids that the server answers this page's visitor."""
    answer = httpx.get(page.url + path, params={"session": page.person(), "k": 12, **parameters})
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["items"]]


def test_results_are_the_servers_in_its_order(page: Page) -> None:
    page.search("warm tent")
    assert page.ids("#results") == asked(page, "/search", q="warm tent")
    assert page.text("#results .listing-status") == "12 items, and more"
    assert not page.one("#results").get_attribute("hidden")
    assert page.all("#shelf")[0].get_attribute("hidden")


def test_an_older_answer_never_overwrites_a_newer_one(page: Page, shop: ServedShop) -> None:
    shop.delays["q=slow"] = 1.0
    page.type("slow")
    page.wait(lambda: page.text("#results-heading") == "Results for “slow”")
    page.search("quick")
    quick = page.ids("#results")
    shop.delays["q=later"] = 1.5  # what is answered after the slow one would have been
    page.search("later")
    assert page.ids("#results") == asked(page, "/search", q="later")
    page.search("quick")
    assert page.ids("#results") == quick == asked(page, "/search", q="quick")


def test_the_focus_stays_in_its_place_as_newer_answers_come(page: Page, shop: ServedShop) -> None:
    page.search("tent")
    shop.delays["q=lamp"] = 1.0
    page.type("lamp")
    page.script("document.querySelectorAll('#results .card-open')[1].focus()")
    page.wait(lambda: page.text("#results-heading") == "Results for “lamp”")
    page.wait(lambda: page.is_settled("#results"))
    assert page.ids("#results") == asked(page, "/search", q="lamp")
    assert page.focused().strip() == page.titles("#results")[1]


def test_fast_typing_asks_for_the_last_text_only(page: Page, shop: ServedShop) -> None:
    shop.engine.requests.clear()
    page.type("a very long question")
    page.wait(lambda: page.text("#results-heading") == "Results for “a very long question”")
    page.wait(lambda: page.is_settled("#results"))
    assert page.ids("#results") == asked(page, "/search", q="a very long question")
    assert "q=a+very+long+question" in page.driver.current_url


def test_an_empty_box_leads_home(page: Page) -> None:
    home = page.titles()
    page.search("tent")
    page.clear()
    assert page.titles() == home
    assert page.driver.current_url == page.url + "/"


def test_the_address_brings_a_search_back(page: Page) -> None:
    page.search("lamp & rope")
    results = page.ids("#results")
    page.driver.refresh()
    page.wait(lambda: page.ids("#results"))
    assert page.one("#query").get_attribute("value") == "lamp & rope"
    assert page.ids("#results") == results


def test_more_brings_every_item_once(page: Page) -> None:
    page.search("tent")
    first = page.ids("#results")
    for shown in (24, 30):
        page.click("#results .more")
        page.wait(lambda shown=shown: len(page.ids("#results")) == shown)
    assert page.ids("#results")[:12] == first
    assert len(set(page.ids("#results"))) == 30
    assert not page.one("#results .listing-status").text.endswith("more")
    assert not any(more.is_displayed() for more in page.all("#results .more"))


def test_a_corrected_word_is_told_and_can_be_insisted_on(page: Page) -> None:
    page.search("nummber")
    page.wait(lambda: page.text("#corrected") == "Spelling: number ×")
    assert page.ids("#results") == asked(page, "/search", q="number")
    page.click("#corrected .chip")
    page.wait(lambda: page.is_settled("#results") and page.all("#corrected")[0].text == "")
    assert page.ids("#results") == asked(page, "/search", q="nummber", correct="false")


def test_a_price_in_the_query_is_a_filter_that_can_be_removed(page: Page) -> None:
    page.search("number under 20")
    page.wait(lambda: page.text("#corrected") == "Price up to 20.00 ×")
    assert page.ids("#results") == asked(page, "/search", q="number", filter="price <= 20")
    page.click("#corrected .chip")
    page.wait(lambda: page.is_settled("#results") and page.all("#corrected")[0].text == "")
    assert page.ids("#results") == asked(page, "/search", q="number under 20", understand="false")


def test_a_search_that_nothing_fits_says_so_and_shows_the_nearest(page: Page) -> None:
    page.search("zzzzqq wwwwxx")
    page.wait(lambda: page.text("#corrected") == "Nothing fits “zzzzqq wwwwxx”. Perhaps one of these?")
    assert len(page.ids("#results")) == 12
    page.search("number 7")
    page.wait(lambda: page.is_settled("#results") and page.all("#corrected")[0].text == "")
