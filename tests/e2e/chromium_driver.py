"""The browser that all tests share; tests/conftest.py hands it to every folder."""

from collections.abc import Iterator

import pytest
from selenium.webdriver import Chrome

from tests.e2e.browser import chromium


@pytest.fixture(scope="session")
def chromium_driver() -> Iterator[Chrome]:
    with chromium() as driver:
        yield driver
