"""A walk through a shop of camping things: what is typed, half-typed or misspelt, is found, marked and explained."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import accumulate

import httpx
import pytest
from selenium.webdriver.common.keys import Keys

from catalog.priors.weights import USUAL_WEIGHTS
from server.core.settings import Settings
from server.storage.managed_redis import managed_redis
from tests.e2e.browser import Page
from tests.e2e.serving import ServedShop, served
from tests.support import small_shop

pytestmark = pytest.mark.integration

MARKUP = "<b onclick=\"document.title='owned'\">Tent</b> & 🏕 tents"
PEOPLE_2, PEOPLE_4, WITH_MARKUP = "item-20", "item-21", "item-22"  # items of the shop, which become others
BLUE, RED = "CAM-0057", "CAM-0058"
ITEMS = [
    {"id": item, "title": title, "brand": brand, "categories": [category], "price": price}
    for item, title, brand, category, price in (
        (PEOPLE_2, "Tarnwell 2-Person Tunnel Tent", "Tarnwell", "Tents", 180),
        (PEOPLE_4, "Tarnwell 4-Person Family Tent", "Tarnwell", "Tents", 320),
        (BLUE, "Norrvik Down Sleeping Bag, Blue", "Norrvik", "Sleeping Bags", 240),
        (RED, "Norrvik Summer Sleeping Bag, Red", "Norrvik", "Sleeping Bags", 80),
        (WITH_MARKUP, MARKUP, "<i>Tent</i>", "Tents", 9),
    )
]


@pytest.fixture(scope="module")
def running_shop(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedShop]:
    """With these items too, which no other test sees, and where the fake model, which has an order of its own, counts
    for little."""
    weights = {task: replace(own, model=0.01) for task, own in USUAL_WEIGHTS.items()}
    folder = tmp_path_factory.mktemp("redis")
    with pytest.MonkeyPatch.context() as patch, managed_redis(folder) as url:
        patch.setattr(small_shop, "USUAL_WEIGHTS", weights)
        with served(settings.model_copy(update={"open_admin": True, "redis": url})) as shop:
            response = httpx.post(f"{shop.url}/items", json=ITEMS)
            assert response.status_code == 200, response.text
            yield shop


def marks(page: Page, item: str) -> list[str]:
    """What is marked on the card of an item, in its order."""
    return page.script(
        "const card = [...document.querySelectorAll('#results .card')].find((c) => c.dataset.id === arguments[0]);"
        "return [...card.querySelectorAll('mark')].map(({textContent}) => textContent)",
        item,
    )


def reason(page: Page, item: str) -> str:
    return page.text(f'#results .card[data-id="{item}"] .card-reason')


def test_4_person_tent(page: Page) -> None:
    page.search("4 person tent")
    assert page.ids("#results")[0] == PEOPLE_4
    assert marks(page, PEOPLE_4) == ["Tents", "4", "Person", "Tent"]
    assert marks(page, PEOPLE_2) == ["Tents", "Person", "Tent"]
    assert reason(page, PEOPLE_4) == "Title match for “4 person tent”"
    assert page.all("#corrected .chip") == []


def test_norvik_blu(page: Page) -> None:
    """A slip that is corrected, and a last word that is not typed out."""
    page.search("norvik blu")
    page.wait(lambda: page.text("#corrected") == "Spelling: norrvik blu ×")
    assert page.ids("#results")[:2] == ["CAM-0057", "CAM-0058"]
    assert marks(page, "CAM-0057") == ["Norrvik", "Norrvik", "Blue"]
    page.click("#corrected .chip")
    page.wait(lambda: page.is_settled("#results") and not page.all("#corrected .chip"))
    assert page.ids("#results")[0] == "CAM-0057", "words still read the slip"
    assert marks(page, "CAM-0057") == ["Norrvik", "Norrvik", "Blue"]


@pytest.mark.parametrize("typed", ["CAM-0057", "cam0057"])
def test_an_id(page: Page, typed: str) -> None:
    page.search(typed)
    assert page.ids("#results")[0] == "CAM-0057"
    assert marks(page, "CAM-0057") == ["CAM-0057"]
    assert reason(page, "CAM-0057") == f"Its number is “{typed}”"


def test_sleeping_bag_under_100(page: Page) -> None:
    page.search("sleeping bag under 100")
    page.wait(lambda: page.text("#corrected") == "Price up to 100.00 ×")
    assert page.ids("#results")[0] == "CAM-0058"
    assert marks(page, "CAM-0058") == ["Sleeping", "Bags", "Sleeping", "Bag"]
    assert "CAM-0057" not in page.ids("#results")
    page.click("#corrected .chip")
    page.wait(lambda: page.is_settled("#results") and not page.all("#corrected .chip"))
    assert set(page.ids("#results")[:2]) == {"CAM-0057", "CAM-0058"}
    page.search("sleeping bag under 300")
    page.wait(lambda: page.text("#corrected") == "Price up to 300.00 ×")


def test_chips_are_taken_back_one_by_one_and_for_that_query_only(page: Page) -> None:
    page.search("sleping bag from norvik under 100")
    page.wait(lambda: len(page.all("#corrected .chip")) == 2)
    page.all("#corrected .chip")[1].click()
    page.wait(lambda: page.is_settled("#results") and len(page.all("#corrected .chip")) == 1)
    assert page.text("#corrected").startswith("Spelling: sleeping bag")
    page.click("#corrected .chip")
    page.wait(lambda: page.is_settled("#results") and not page.all("#corrected .chip"))
    page.search("sleping bag under 100")
    page.wait(lambda: len(page.all("#corrected .chip")) == 2)


def test_answers_come_letter_by_letter(page: Page) -> None:
    """From some letter on the bag is first, and stays there until the word is whole."""
    first_at = []
    for typed in accumulate("sleeping"):
        if len(typed) > 2:
            page.search(typed)
            first_at.append(page.ids("#results")[0] in {"CAM-0057", "CAM-0058"})
            assert "Sleeping" in marks(page, page.ids("#results")[0]) or not first_at[-1]
    assert first_at == [True] * 6


def test_markup_is_marked_and_stays_text(page: Page) -> None:
    page.search("tent")
    title = page.script("return document.querySelector('#results .card[data-id=item-22] .card-open').textContent")
    assert title == MARKUP
    assert marks(page, WITH_MARKUP) == ["Tents", "Tent", "Tent", "tents"]
    assert page.all("#results b, #results i") == []
    assert page.driver.title == "gemserve"
    page.search(MARKUP.replace("🏕 ", ""))
    page.press(Keys.ENTER)
    assert page.all("#results b, #results i, #corrected b") == []


def test_nothing_fits(page: Page) -> None:
    page.search("qqqqzz <u>xxyyzz</u>")
    page.wait(lambda: page.text("#corrected .nothing") == "Nothing fits “qqqqzz <u>xxyyzz</u>”. Perhaps one of these?")
    assert len(page.ids("#results")) == 12
    assert page.all("#results mark") == []
    page.search("tent")
    page.wait(lambda: not page.all("#corrected .nothing"))
