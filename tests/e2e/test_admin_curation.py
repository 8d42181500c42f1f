"""Synonyms and overrides on the admin page: listed in pages, searched, written, refused at their fields, compared."""

from collections.abc import Iterator

import httpx
import pytest
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from server.core.settings import Settings
from tests.e2e.browser import PHONE, Page
from tests.e2e.serving import served
from tests.e2e.test_access_for_all import AXE
from tests.e2e.test_admin import opened, reload
from tests.support.small_shop import NAMES

pytestmark = pytest.mark.integration

PINNED, HIDDEN = NAMES[9], NAMES[6]


@pytest.fixture(scope="module")
def page(chromium_driver, settings: Settings) -> Iterator[Page]:
    with served(settings.model_copy(update={"open_admin": True})) as shop:
        page = opened(chromium_driver, shop.url)
        page.wait(lambda: page.all("#synonyms-list > *") and page.all("#overrides-list > *"))
        yield page
        assert page.complaints() == []
        for name in ("synonyms", "overrides"):  # which all shops on this Redis follow
            for one in httpx.get(f"{shop.url}/{name}?limit=1000").json()[name]:
                httpx.delete(f"{shop.url}/{name}/{one['id']}").raise_for_status()


def write(page: Page, css: str, text: str) -> None:
    """In place of what stands there."""
    page.one(css).clear()
    page.one(css).send_keys(text)


def save(page: Page, name: str) -> None:
    page.click(f"#{name}-dialog .primary")


def saved(page: Page, name: str) -> None:
    save(page, name)
    page.wait(lambda: not page.all(f"#{name}-dialog[open]"))


def names(page: Page, of: str) -> list[str]:
    return page.texts(f"#{of}-list tbody th")


def has(page: Page, of: str, *wanted: str) -> bool:
    return page.wait(lambda: names(page, of) == [*wanted])


def test_synonyms_are_written_changed_and_deleted(page: Page) -> None:
    assert "There are no synonyms yet." in page.text("#synonyms-list")
    page.click("#synonyms-new")
    save(page, "synonyms")
    assert page.text("#synonyms-id-problem") == "Give it a name."
    assert page.focused().startswith("synonyms-id")
    write(page, "#synonyms-id", "shelter")
    write(page, "#synonyms-words", "tent\n\nTENT")
    save(page, "synonyms")
    page.wait(lambda: "Line 3 " in page.text("#synonyms-words-problem"))
    assert page.one("#synonyms-words").get_attribute("aria-invalid") == "true"
    assert page.focused().startswith("synonyms-words")
    write(page, "#synonyms-words", "tent\nbivouac")
    saved(page, "synonyms")
    assert has(page, "synonyms", "shelter")
    assert "tent, bivouac" in page.text("#synonyms-list tbody tr")
    page.click("[aria-label='Edit shelter']")
    assert page.one("#synonyms-id").get_attribute("readonly")
    assert page.one("#synonyms-words").get_attribute("value") == "tent\nbivouac"
    write(page, "#synonyms-root", "yurt")
    saved(page, "synonyms")
    page.wait(lambda: "yurt" in page.text("#synonyms-list tbody tr"))
    page.click("[aria-label='Delete shelter']")
    assert "Delete shelter?" in page.text("#confirm-heading")
    page.click("#confirm")
    page.wait(lambda: "There are no synonyms yet." in page.text("#synonyms-list"))


def test_lists_are_paged_and_searched(page: Page) -> None:
    sets = "\n".join(f'{{"id": "set {n:02}", "synonyms": ["a{n}x", "b{n}y"]}}' for n in range(25))
    answer = httpx.post(f"{page.url}/synonyms/import", content=sets, headers={"content-type": "application/x-ndjson"})
    assert answer.text.count("inserted") == 25
    reload(page)
    assert page.text("#synonyms-count") == "20 of 25"
    page.click("#synonyms-more")
    page.wait(lambda: page.text("#synonyms-count") == "25 of 25")
    assert not page.one("#synonyms").find_element("id", "synonyms-more").is_displayed()
    assert page.focused() == "Edit set 20"
    page.one("#synonyms-search").send_keys("B7", Keys.ENTER)
    assert has(page, "synonyms", "set 07")
    assert page.text("#synonyms-count") == "1 of 1 with “B7”"
    write(page, "#synonyms-search", "nothing")
    page.press(Keys.ENTER)
    page.wait(lambda: "No set has “nothing”." in page.text("#synonyms-list"))
    page.one("#synonyms-search").clear()


def test_a_short_word_is_asked_about_and_escape_leaves_the_list_as_it_was(page: Page) -> None:
    page.click("#synonyms-new")
    write(page, "#synonyms-id", "letter")
    write(page, "#synonyms-words", "a\ntent")
    save(page, "synonyms")
    assert "Every search with “a”" in page.text("#confirm-text")
    page.click("#confirm-dialog [data-close]")
    page.wait(lambda: not page.all("#confirm-dialog[open]"))
    assert page.one("#synonyms-dialog[open]")
    page.press(Keys.ESCAPE)
    page.wait(lambda: not page.all("dialog[open]"))
    assert httpx.get(f"{page.url}/synonyms/letter").status_code == 404


def test_an_override_is_refused_at_its_fields_then_written_and_compared(page: Page) -> None:
    page.click("#overrides-new")
    write(page, "#overrides-id", "tents")
    write(page, "#overrides-pins", f"1 {PINNED}\nfirst")
    save(page, "overrides")
    assert page.text("#overrides-pins-problem").startswith("Line 2 has no place and id")
    write(page, "#overrides-pins", f"1 {PINNED}")
    save(page, "overrides")
    page.wait(lambda: "every query" in page.text("#overrides-rule-problem"))
    write(page, "#overrides-query", "tent")
    write(page, "#overrides-filter", "pryce < 3")
    write(page, "#overrides-boosts", "2 price < 15\n3 nothing = 1")
    save(page, "overrides")
    page.wait(lambda: "pryce" in page.text("#overrides-filter-problem"))
    assert page.text("#overrides-boosts-problem").startswith("Line 2 ")
    assert page.focused().startswith("overrides-filter")
    write(page, "#overrides-filter", "price >= 0")
    write(page, "#overrides-boosts", "2 price < 15")
    write(page, "#overrides-hidden", f"{HIDDEN}\nghost")
    page.script("document.getElementById('overrides-ends').value = '2090-01-01T00:00:00'")
    saved(page, "overrides")
    page.wait(lambda: "No item has the id ghost" in page.text("#notices"))
    assert has(page, "overrides", "tents")
    row = page.text("#overrides-list tbody tr")
    assert "searches with “tent”" in row
    assert "1 pinned, 2 left out, only price >= 0, 2 × price < 15" in row
    assert "now until 2090-01-01" in row
    page.wait(lambda: page.text("#preview-status") == "Applied: tents.")
    without, having = (column.text for column in page.all("#preview-answers .beside-column"))
    assert HIDDEN not in having
    assert f"{PINNED}\npinned" in having.split("\n2")[0]
    assert "pinned" not in without
    write(page, "#preview-query", "rope")
    page.press(Keys.ENTER)
    page.wait(lambda: page.text("#preview-status") == "No override applies to this query.")


def test_an_override_is_opened_as_it_was_written(page: Page) -> None:
    whole = {
        "rule": {"query": "lamp", "match": "exact", "filter_by": "price < 20", "tags": ["sale", "home"]},
        "includes": [{"id": "a b", "position": 3}],
        "excludes": [{"id": HIDDEN}],
        "filter_by": "price > 1",
        "boost": [{"condition": 'brand = "Alpina"', "factor": 1.5}],
        "replace_query": "red tent",
        "remove_matched_tokens": False,
        "stop_processing": True,
        "priority": -4,
        "starts_at": "2025-01-01T00:00:00.250000Z",
        "ends_at": None,
    }
    httpx.put(f"{page.url}/overrides/whole", json=whole).raise_for_status()
    write(page, "#overrides-search", "whole")
    page.press(Keys.ENTER)
    assert has(page, "overrides", "whole")
    page.click("[aria-label='Edit whole']")
    write(page, "#overrides-priority", "7")
    saved(page, "overrides")
    page.wait(lambda: "7" in page.texts("#overrides-list tbody td"))
    assert httpx.get(f"{page.url}/overrides/whole").json() == whole | {"id": "whole", "priority": 7}


def test_a_rule_for_lists_of_every_kind_is_asked_about(page: Page) -> None:
    page.click("#overrides-new")
    write(page, "#overrides-id", "broad")
    write(page, "#overrides-tags", "sale")
    Select(page.one("#overrides-match")).select_by_value("exact")
    write(page, "#overrides-hidden", HIDDEN)
    save(page, "overrides")
    assert "every query with the tag sale" in page.text("#confirm-text")
    page.click("#confirm")
    page.wait(lambda: not page.all("dialog[open]"))
    page.wait(lambda: page.text("#preview-status") == "Applied: broad.")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_and_nothing_is_cut_on_a_phone(page: Page, scheme: str) -> None:
    page.prefer(scheme)
    page.resize(*PHONE)
    page.wait(lambda: page.all("#synonyms-list > *") and page.all("#overrides-list table"))
    page.click("#overrides-new")
    page.script(AXE.read_text())
    found = page.driver.execute_async_script("axe.run().then(({violations}) => arguments[0](violations))")
    assert [(violation["id"], violation["nodes"][0]["html"]) for violation in found] == []
    page.press(Keys.ESCAPE)
    page.wait(lambda: not page.all("dialog[open]"))
    found = page.driver.execute_async_script("axe.run().then(({violations}) => arguments[0](violations))")
    assert [(violation["id"], violation["nodes"][0]["html"]) for violation in found] == []
    assert page.script("return document.documentElement.scrollWidth <= innerWidth")
