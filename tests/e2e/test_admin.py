"""The admin page: what it shows, what it asks before it changes anything, and what it says of unfit keys."""

from dataclasses import replace
from pathlib import Path

import pytest
from selenium.webdriver.common.keys import Keys

from server.auth import key_file
from server.auth.api_key import Scope, mint
from server.core.settings import Settings
from tests.e2e.browser import Page
from tests.e2e.serving import served
from tests.e2e.test_access_for_all import AXE
from tests.support.small_shop import publish_names

pytestmark = pytest.mark.integration

VERSION = "2025-11-20-a"


@pytest.fixture
def admin_settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"open_admin": True})


def opened(chromium_driver, url: str) -> Page:
    page = Page(chromium_driver, url)
    page.driver.get("about:blank")
    page.driver.get(url + "/admin")
    page.wait(lambda: page.all("dialog[open], #models table, #models [role=alert]"))
    return page


def reload(page: Page) -> None:
    """Loads all sections again and waits for the last of them: what is found before is thrown away."""
    page.click("#reload")
    page.wait(lambda: page.is_settled("main"))


def opened_with(chromium_driver, url: str, key: str) -> Page:
    """The page after somebody has given this key."""
    page = opened(chromium_driver, url)
    page.one("#key").send_keys(key, Keys.ENTER)
    return page


def key_in(folder: Path, *scopes: Scope, expires_at: str | None = None) -> tuple[Path, str]:
    key, text = mint(name="browser", scopes=scopes)
    key_file.add(folder / "keys.json", replace(key, expires_at=expires_at))
    return folder / "keys.json", text


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_health_and_models_are_shown_to_everybody(chromium_driver, admin_settings: Settings, scheme: str) -> None:
    with served(admin_settings) as shop:
        page = opened(chromium_driver, shop.url)
        page.prefer(scheme)
        page.wait(lambda: "alive" in page.text("#health") and VERSION in page.text("#models"))
        assert "ready" in page.text("#health")
        assert "decides alone" in page.text("#fleet")
        page.script(AXE.read_text())
        found = page.driver.execute_async_script("axe.run().then(({violations}) => arguments[0](violations))")
        assert [violation["id"] for violation in found] == []
        assert page.complaints() == []


def test_a_wrong_key_is_told_and_a_right_one_opens_and_stays_in_the_tab(
    chromium_driver, settings: Settings, tmp_path: Path
) -> None:
    keys, text = key_in(tmp_path, "admin")
    with served(settings.model_copy(update={"keys": keys})) as shop:
        page = opened_with(chromium_driver, shop.url, "gsk_wrong")
        page.wait(lambda: "no key of this server" in page.text("#key-reason"))
        page.one("#key").send_keys(text, Keys.ENTER)
        page.wait(lambda: VERSION in page.text("#models"))
        assert page.script("return sessionStorage.getItem('gemserve.key')") == text
        assert text not in page.script("return JSON.stringify(localStorage)")


def test_a_key_without_the_scope_is_told_which_one_it_lacks(
    chromium_driver, settings: Settings, tmp_path: Path
) -> None:
    keys, text = key_in(tmp_path, "read")
    with served(settings.model_copy(update={"keys": keys})) as shop:
        page = opened_with(chromium_driver, shop.url, text)
        page.wait(lambda: page.all("#models [role=alert]"))
        assert "admin" in page.text("#models [role=alert]")
        page.click("#models .button")
        assert page.one("#key-dialog[open]")


def test_an_expired_key_is_told(chromium_driver, settings: Settings, tmp_path: Path) -> None:
    keys, text = key_in(tmp_path, "admin", expires_at="2020-01-01T00:00:00Z")
    with served(settings.model_copy(update={"keys": keys})) as shop:
        page = opened_with(chromium_driver, shop.url, text)
        page.wait(lambda: "was good until" in page.text("#key-reason"))
        assert not page.all("#models table")


def test_a_model_is_activated_after_a_question_and_taken_back(
    chromium_driver, admin_settings: Settings, tmp_path: Path
) -> None:
    older, newer = "2025-11-20-a", "2025-11-21-b"
    publish_names(tmp_path, older, newer)
    with served(admin_settings.model_copy(update={"bundles": tmp_path})) as shop:
        page = opened(chromium_driver, shop.url)
        current = page.one("#models tr:has(.activate) th").text
        page.click("#models .activate")
        assert current in page.text("#confirm-heading")
        page.click("dialog[open] [data-close]")
        page.wait(lambda: not page.all("dialog[open]"))
        assert not page.all("#rollback")
        page.click("#models .activate")
        page.click("#confirm")
        page.wait(lambda: page.all("#rollback"))
        page.click("#rollback")
        page.click("#confirm")
        page.wait(lambda: current in page.text("#rollback"))


def test_checks_of_a_server_that_is_not_ready_are_shown(chromium_driver, admin_settings: Settings) -> None:
    with served(admin_settings) as shop:
        page = opened(chromium_driver, shop.url)
        page.script(
            "const fetched = window.fetch;"
            "const body = JSON.stringify({detail: 'no engine', checks: {engine: 'it died'}});"
            "window.fetch = (address, options) => address.endsWith('/health/ready')"
            " ? Promise.resolve(new Response(body, {status: 503})) : fetched(address, options)"
        )
        reload(page)
        assert "not ready: no engine" in page.text("#health")
        assert "it died" in page.text("#health")


FIRST_IS_LATE = """
const fetched = window.fetch;
window.fetch = async (address, options) => {
  const response = await fetched(address, options);
  if (!address.endsWith("/health/ready") || window.release !== undefined) return response;
  await new Promise((go) => { window.release = go; });
  return response;
};
"""


def test_an_older_answer_does_not_take_the_place_of_a_newer_one(chromium_driver, admin_settings: Settings) -> None:
    with served(admin_settings) as shop:
        page = opened(chromium_driver, shop.url)
        page.script(FIRST_IS_LATE)
        page.click("#reload")
        page.wait(lambda: page.script("return window.release !== undefined"))
        reload(page)
        newer = page.one("#health > *")
        page.driver.execute_async_script("window.release(); setTimeout(arguments[0], 100)")
        assert newer.is_displayed()


HELD_BACK = """
const fetched = window.fetch;
window.fetch = async (address, options) => {
  const response = await fetched(address, options);
  if (address.includes("/admin/audit")) await new Promise((go) => { window.release = go; });
  return response;
};
"""


def test_who_has_given_no_key_is_not_asked_again_by_a_section_that_comes_later(
    chromium_driver, settings: Settings, tmp_path: Path
) -> None:
    keys, _ = key_in(tmp_path, "admin")
    held = chromium_driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": HELD_BACK})
    try:
        with served(settings.model_copy(update={"keys": keys})) as shop:
            page = opened(chromium_driver, shop.url)
            page.wait(lambda: page.script("return window.release !== undefined"))
            page.close_dialog()
            page.wait(lambda: page.all("#models [role=alert]"))
            page.script("window.release()")
            page.wait(lambda: page.all("#audit [role=alert]"))
            assert not page.all("dialog[open]")
    finally:
        chromium_driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", held)
