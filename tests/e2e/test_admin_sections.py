"""The sections of the admin page in one session: reports, traffic and its result, analytics, look-up, import, audit."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from selenium.webdriver.common.keys import Keys

from server.core.settings import Settings
from tests.e2e.browser import PHONE, Page
from tests.e2e.serving import served
from tests.e2e.test_access_for_all import AXE
from tests.e2e.test_admin import opened, reload
from tests.support.analytics import write_searches
from tests.support.small_shop import NAMES, publish_names, publish_report

pytestmark = pytest.mark.integration

OLD, NEW = "2025-11-20-a", "2025-11-21-b"
DAYS, USERS = 3, 200


@pytest.fixture(scope="module")
def page(chromium_driver, settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """Of a shop with two models, of which people click one's answers far more often."""
    folder = tmp_path_factory.mktemp("administered")
    publish_names(folder, OLD, NEW)
    publish_report(folder / NEW)
    write_searches(folder / "analytics", DAYS, USERS, {OLD: 0.1, NEW: 0.4})
    given = {"open_admin": True, "bundles": folder, "analytics": folder / "analytics"}
    with served(settings.model_copy(update=given)) as shop:
        page = opened(chromium_driver, shop.url)
        yield page
        assert page.complaints() == []
        httpx.delete(f"{shop.url}/admin/traffic").raise_for_status()  # which all shops on this Redis follow


def fetched(page: Page, method: str, address: str, body: object) -> None:
    """What a shop's own server would send."""
    page.driver.execute_async_script(
        "fetch(arguments[1], {method: arguments[0], headers: {'Content-Type': 'application/json'}, body: arguments[2]})"
        ".then(arguments[3])",
        *(method, address, json.dumps(body)),
    )


def test_a_models_report_stands_beside_the_baselines(page: Page) -> None:
    page.click(f"#models [aria-label='Report of {NEW}']")
    page.wait(lambda: page.all("#model-report table"))
    text = page.text("#model-report")
    assert "1, up to 0.020 off" in text
    rankers = [row.text for row in page.all("#model-report table")[0].find_elements("css selector", "tbody tr")]
    assert rankers[0] == "guided 0.800 (0.400 to 0.600) 0.750 40"
    assert {row.split()[0] for row in rankers} == {"guided", "model", "popularity"}
    page.click(f"#models [aria-label='Report of {OLD}']")
    page.wait(lambda: "published without a report" in page.text("#model-report"))


def test_traffic_is_shared_after_a_question_and_its_result_is_told(page: Page) -> None:
    page.wait(lambda: page.all("#experiment-click .verdict"))
    assert page.text("#experiment-click .verdict") == "Decided."
    assert page.text("#experiment-conversion .verdict").startswith("Not yet decided.")
    rows = page.texts("#experiment-click tbody tr")
    assert "(baseline)" in rows[0]
    assert rows[1].endswith("decided")
    weight = page.one(f"#traffic input[data-version='{NEW}']")
    weight.send_keys(Keys.CONTROL, "a")
    weight.send_keys("300", Keys.ENTER)
    page.click("#confirm")
    page.wait(lambda: page.all(f"#traffic input[data-version='{NEW}'][value='300']"))
    reload(page)
    assert "75.0%" in page.text("#models")


def test_charts_have_their_numbers_beside_them(page: Page) -> None:
    page.wait(lambda: page.all("#analytics .chart"))
    assert [len(chart.find_elements("css selector", ".chart-mark")) for chart in page.all(".chart")] == [DAYS] * 2
    days = page.all("#analytics .table-place[aria-label='Searches by day'] tbody tr")
    assert len(days) == DAYS
    assert days[0].text.split()[1:] == [str(2 * USERS), "25%", "0.5%", "0.0%"]
    assert page.text("#analytics-queries tbody tr").startswith("tent ")
    assert page.text("#analytics-no-results tbody th") == page.text("#analytics-no-clicks tbody th") == "qwrtzpl"


def test_an_item_and_a_user_are_looked_up_with_why(page: Page) -> None:
    page.one("#lookup-item").send_keys(NAMES[4], Keys.ENTER)
    page.wait(lambda: "Alpina" in page.text("#lookup-item-found"))
    page.one("#lookup-item").send_keys("none", Keys.ENTER)
    page.wait(lambda: page.all("#lookup-item-found [role=alert]"))
    fetched(page, "POST", "events", {"user_id": "ada", "item_id": NAMES[4], "type": "view", "query": "warm tent"})
    page.one("#lookup-user").send_keys("ada", Keys.ENTER)
    page.wait(lambda: "warm tent" in page.text("#lookup-user-found"))
    page.click("#lookup-user-found .button")
    page.wait(lambda: page.all("#lookup-why .levels"))
    assert "What your history did" in page.text("#lookup-why")


def test_a_file_is_checked_and_imported_line_by_line(page: Page, tmp_path: Path) -> None:
    file = tmp_path / "items.jsonl"
    lines = [{"id": NAMES[4], "price": 12}, {"id": "", "price": 1}, {"id": NAMES[5], "price": "much"}]
    file.write_text("\n\n".join(json.dumps(line) for line in lines))
    page.one("#import-file").send_keys(str(file))
    page.one("#import-action").send_keys("update")
    page.click("#import-form .primary")
    page.wait(lambda: "3 of 3 lines" in page.text("#import-results [role=status]"))
    told = page.text("#import-results [role=status]")
    assert "1 updated" in told
    assert "2 refused" in told
    assert [row.text.split()[0] for row in page.all("#import-results tbody tr")] == ["3", "5"]
    page.one("#lookup-item").send_keys(Keys.CONTROL, "a")
    page.one("#lookup-item").send_keys(NAMES[4], Keys.ENTER)
    page.wait(lambda: "14" in page.text("#lookup-item-found"))
    page.click("#import-dry")
    page.click("#import-form .primary")
    page.wait(lambda: "Begun" not in page.text("#import-results") and page.one("#import-form .primary").is_enabled())
    page.one("#lookup-item").send_keys(Keys.ENTER)
    page.wait(lambda: "12" in page.text("#lookup-item-found"))


def test_changes_are_listed_with_who_made_them(page: Page) -> None:
    reload(page)
    assert page.text("#lookup-item-found")  # what somebody looked up is no part of what is loaded again
    assert "POST /items/import" in page.text("#audit")
    assert "PUT /admin/traffic" in page.text("#audit")
    further = httpx.get(f"{page.url}/admin/audit", params={"limit": 20}).json()["next_cursor"] is not None
    older = page.one("#audit").find_element("id", "audit-older")
    assert older.is_displayed() == further  # other shops on this Redis change things too


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_and_nothing_is_cut_on_a_phone(page: Page, scheme: str) -> None:
    page.prefer(scheme)
    page.resize(*PHONE)
    page.click(f"#models [aria-label='Report of {NEW}']")
    page.wait(lambda: page.all("#model-report table") and page.all("#analytics .chart"))
    page.script(AXE.read_text())
    found = page.driver.execute_async_script("axe.run().then(({violations}) => arguments[0](violations))")
    assert [(violation["id"], violation["nodes"][0]["html"]) for violation in found] == []
    assert page.script("return document.documentElement.scrollWidth <= innerWidth")
