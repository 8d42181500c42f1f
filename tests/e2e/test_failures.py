"""What the page does when the server cannot answer, the network is gone, Redis is away, or a key is wanted."""

from pathlib import Path

import pytest
from selenium.webdriver.common.keys import Keys

from server.auth import key_file
from server.auth.api_key import mint
from server.core.settings import Settings
from server.storage.managed_redis import managed_redis
from tests.e2e.browser import Page
from tests.e2e.serving import ServedShop, served

pytestmark = pytest.mark.integration


def test_a_failure_is_told_and_can_be_tried_again(page: Page, shop: ServedShop) -> None:
    shop.engine.broken = True
    page.type("tent")
    page.press(Keys.ENTER)
    alert = page.one("#results .message[role=alert]")
    assert "The model cannot answer right now" in alert.text
    shop.engine.broken = False
    page.click("#results .message .button")
    page.wait(lambda: len(page.ids("#results")) == 12)
    assert not any(message.is_displayed() for message in page.all("#results .message"))
    assert page.focused().strip() == page.titles("#results")[0]  # as the button that had the focus is gone


def test_a_lost_network_is_told_and_repaired_by_itself(page: Page) -> None:
    try:
        page.go_offline(offline=True)
        assert "You are offline" in page.text("#offline")
        page.type("tent")
        page.press(Keys.ENTER)
        assert "No connection" in page.text("#results .message[role=alert]")
    finally:
        page.go_offline(offline=False)
    page.wait(lambda: len(page.ids("#results")) == 12)
    assert not any(banner.is_displayed() for banner in page.all("#offline"))


def test_without_redis_answers_are_marked_and_clicks_are_not_lost_silently(
    chromium_driver, settings: Settings, tmp_path: Path
) -> None:
    with managed_redis(tmp_path) as url:
        pass  # what was at this address is gone
    with served(settings.model_copy(update={"redis": url})) as shop:
        page = Page(chromium_driver, shop.url)
        page.open()
        assert page.text("#degraded") == "degraded: without history or guidance"
        page.click("#shelf .card-open")
        assert page.text(".notice.failed").startswith("This was not recorded:")
        page.close_dialog()
        visitor = page.person()
        page.click("#person")
        page.one("#user-id").send_keys("ann", Keys.ENTER)
        assert page.text("#person-problem").startswith("You are still a visitor.")
        assert page.person() == visitor


def test_with_a_key_that_may_only_read_one_can_still_be_a_user(
    chromium_driver, settings: Settings, tmp_path: Path
) -> None:
    key, text = mint(name="browser", scopes=("read",))
    keys = tmp_path / "keys.json"
    key_file.add(keys, key)
    with served(settings.model_copy(update={"keys": keys})) as shop:
        page = Page(chromium_driver, shop.url)
        page.open()
        page.one("#key").send_keys(text, Keys.ENTER)
        page.wait(lambda: len(page.ids()) == 12 and page.is_settled("#shelf"))
        page.click("#person")
        page.one("#user-id").send_keys("ann", Keys.ENTER)
        page.wait(lambda: page.person() == "ann")
        assert not page.all(".notice.failed")


def test_a_server_with_keys_asks_for_one(chromium_driver, settings: Settings, tmp_path: Path) -> None:
    key, text = mint(name="browser", scopes=("read", "write"))
    keys = tmp_path / "keys.json"
    key_file.add(keys, key)
    with served(settings.model_copy(update={"keys": keys})) as shop:
        page = Page(chromium_driver, shop.url)
        page.open()
        assert "key" in page.text("#key-reason")
        page.one("#key").send_keys("gsk_wrong", Keys.ENTER)
        page.wait(lambda: "no key of this server" in page.text("#key-reason"))
        page.one("#key").send_keys(text, Keys.ENTER)
        page.wait(lambda: len(page.ids()) == 12 and page.is_settled("#shelf"))
        assert page.script("return [sessionStorage.getItem('gemserve.key'), JSON.stringify(localStorage)]")[0] == text
        assert text not in page.script("return JSON.stringify(localStorage)")
        page.driver.refresh()
        page.wait(lambda: len(page.ids()) == 12)
        assert page.all("dialog[open]") == []


def test_without_a_key_the_page_says_what_it_lacks(chromium_driver, settings: Settings, tmp_path: Path) -> None:
    key, _ = mint(name="browser", scopes=("read",))
    keys = tmp_path / "keys.json"
    key_file.add(keys, key)
    with served(settings.model_copy(update={"keys": keys})) as shop:
        page = Page(chromium_driver, shop.url)
        page.open()
        page.close_dialog()
        assert "key" in page.text("#shelf .message[role=alert]")
        page.click("#shelf .message .button")
        assert page.one("#key-dialog[open]")
