"""/docs in a browser: Swagger UI under the page's policy."""

import pytest
from selenium.webdriver import Chrome

from tests.e2e.browser import Page
from tests.e2e.serving import ServedShop

SEARCH = "#operations-answers-search"


@pytest.mark.integration
def test_the_documentation_tries_the_api_and_asks_no_other_server(chromium_driver: Chrome, shop: ServedShop) -> None:
    page = Page(chromium_driver, shop.url)
    page.driver.get(f"{shop.url}/docs")
    page.one(f"{SEARCH} .opblock-summary-control").click()
    query = page.one(f"{SEARCH} tr[data-param-name='q'] input")
    query.clear()
    query.send_keys("tent")
    page.one(f"{SEARCH} .execute").click()
    assert page.text(f"{SEARCH} .live-responses-table tr.response .response-col_status").startswith("200")
    asked = page.driver.execute_script("return performance.getEntriesByType('resource').map(e => e.name)")
    assert [name for name in asked if not name.startswith((shop.url, "data:"))] == []
    assert page.complaints() == []
