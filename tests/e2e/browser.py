"""A real Chromium without a window, and shorthands for what the tests do in it."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from selenium.common.exceptions import (
    ElementClickInterceptedException,
    StaleElementReferenceException,
    WebDriverException,
)
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

DESKTOP = (1440, 900)
PHONE = (360, 760)
WAIT_SECONDS = 40  # machines here are shared; what is awaited comes in milliseconds
HEADLESS_SHELL = "/usr/lib/chromium/chromium-headless-shell"
"""Chromium without what draws windows, in which tests take half the time. Debian's script of this name in PATH starts
it as a child that outlives the script, and so the driver's `quit`."""
ARGUMENTS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars")

T = TypeVar("T")


@contextmanager
def chromium() -> Iterator[Chrome]:
    """Raises RuntimeError that says what to install."""
    binary = shutil.which(HEADLESS_SHELL) or shutil.which("chromium")
    driver_binary = shutil.which("chromedriver")
    if binary is None or driver_binary is None:
        missing = "apt-get install chromium-headless-shell chromium-driver"
        raise RuntimeError(f"there is no chromium with a chromedriver: {missing}")
    options = ChromeOptions()
    options.binary_location = binary
    for argument in ARGUMENTS:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options, Service(driver_binary))
    try:
        yield driver
    finally:
        driver.quit()


def _read(read: Callable[[], T]) -> T:
    """Once more where the page was drawn anew between finding and reading."""
    try:
        return read()
    except StaleElementReferenceException:
        return read()


class Page:
    """The page of the server at `url`, as somebody sees it who comes for the first time."""

    def __init__(self, driver: Chrome, url: str) -> None:
        self.driver = driver
        self.url = url
        self.resize(*DESKTOP)
        self.prefer("light")
        self.driver.execute_cdp_cmd("Storage.clearDataForOrigin", {"origin": url, "storageTypes": "all"})

    def open(self, path: str = "/") -> None:
        """Waits for the first items or for whatever is said in their place."""
        self.driver.get("about:blank")  # a dialog or a key of the page before must not be taken for this one's
        self.driver.get(self.url + path)
        self.wait(lambda: self.all(".listing:not([hidden]) .card-open, .message:not([hidden]), dialog[open]"))

    def resize(self, width: int, height: int, scale: float = 1) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def prefer(self, scheme: str) -> None:
        features = [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def go_offline(self, *, offline: bool) -> None:
        conditions = {"offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        self.driver.execute_cdp_cmd("Network.enable", {})
        self.driver.execute_cdp_cmd("Network.emulateNetworkConditions", conditions)

    def all(self, css: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def one(self, css: str) -> WebElement:
        """Waits until it is there and can be seen."""
        return self.wait(lambda: next((found for found in self.all(css) if found.is_displayed()), None))

    def wait(self, condition: Callable[[], T | None], *passing: type[WebDriverException]) -> T:
        """Until it is true; an element that was replaced meanwhile is looked for again, and after `passing` too."""
        waiting = WebDriverWait(self.driver, WAIT_SECONDS, 0.03, [StaleElementReferenceException, *passing])
        return waiting.until(lambda _: condition())

    def text(self, css: str) -> str:
        return _read(lambda: self.one(css).text)

    def texts(self, css: str) -> list[str]:
        return _read(lambda: [element.text for element in self.all(css)])

    def titles(self, section: str = "#shelf") -> list[str]:
        """Of all cards of a list that is not waiting; text as the page has it, not as it is cut."""
        return self.script(
            "return [...document.querySelectorAll(`${arguments[0]} .grid:not([aria-busy]) .card-open`)]"
            ".map((card) => card.textContent)",
            section,
        )

    def ids(self, section: str = "#shelf") -> list[str]:
        return self.script(
            "return [...document.querySelectorAll(`${arguments[0]} .card[data-id]`)].map((card) => card.dataset.id)",
            section,
        )

    def person(self) -> str:
        return self.script("return JSON.parse(localStorage.getItem('gemserve.person')).id")

    def search(self, text: str) -> None:
        """Types it in place of what stands there, sends it off, as suggestions would lie over results, and waits."""
        self.type(text)
        self.press(Keys.ENTER)
        self.wait(lambda: self.text("#results-heading") == f"Results for “{text}”" and self.is_settled("#results"))

    def type(self, text: str) -> None:
        box = self.one("#query")
        box.send_keys(Keys.CONTROL, "a")
        box.send_keys(text)

    def clear(self) -> None:
        """Empties the search box, which leads home."""
        self.one("#query").send_keys(Keys.CONTROL, "a")
        self.press(Keys.BACKSPACE)
        self.wait(lambda: self.one("#shelf"))

    def is_settled(self, section: str) -> bool:
        return not self.all(f"{section} [aria-busy]")

    def press(self, *keys: str) -> None:
        """On whatever has the focus."""
        self.driver.switch_to.active_element.send_keys(*keys)

    def focused(self) -> str:
        """The text or the name of what has the focus."""
        return self.script(
            "const e = document.activeElement; return e.getAttribute('aria-label') ?? e.id + ' ' + e.textContent.trim()"
        )

    def click(self, css: str) -> None:
        """In the middle of the window: WebDriver itself would leave it under the bar on top. Once more where it was
        drawn anew, or something moved in front of it, before it was clicked."""

        def clicked() -> bool:
            element = self.one(css)
            self.script("arguments[0].scrollIntoView({block: 'center'})", element)
            element.click()
            return True

        self.wait(clicked, ElementClickInterceptedException)

    def close_dialog(self) -> None:
        self.click("dialog[open] [data-close]")
        self.wait(lambda: not self.all("dialog[open]"))

    def script(self, code: str, *arguments: Any) -> Any:
        return self.driver.execute_script(code, *arguments)

    def complaints(self) -> list[str]:
        """What the browser's console has of errors in scripts and breaches of the security policy since last asked."""
        lines = [line["message"] for line in self.driver.get_log("browser") if line["level"] == "SEVERE"]
        return [line for line in lines if "Failed to load resource" not in line]
