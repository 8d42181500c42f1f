"""Takes the pictures of the README from a server of the bundled store, as a new visitor of it:

    make serve ADMIN=open
    python -m tests.e2e.screenshots docs/pictures --server http://127.0.0.1:8000

It writes two overrides, and takes them away again.
The page takes Inter where it is installed (`apt-get install fonts-inter`), else the system's own typeface.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from selenium.webdriver.support.ui import Select

from tests.e2e.browser import Page, chromium
from tests.e2e.test_admin import reload

QUERY = "warm sleeping bag"
READ, NONSENSE = "norvik sleeping bag under 150", "qwrtzpl"  # a slip and a price; nothing
LOOKS = ("2 person tent", "sleeping mat", "head torch")  # what the visitor searches for and opens the first of
BRANDS = '.facet[data-column="brand"]'
SIDE = (1440, 940)
PHONE = (390, 844)


def main(arguments: Sequence[str] | None = None) -> int:
    """The process's exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the pictures go")
    parser.add_argument("--server", default="http://127.0.0.1:8000", help="address of the server")
    chosen = parser.parse_args(arguments)
    chosen.folder.mkdir(parents=True, exist_ok=True)
    with chromium() as driver:
        take(Page(driver, chosen.server), chosen.folder)
        take_admin(Page(driver, chosen.server), chosen.folder)
    return 0


def take(page: Page, folder: Path) -> None:
    page.resize(*SIDE)
    page.open()
    page.one(".chip")
    for query in LOOKS:
        look(page, query)
    page.clear()
    page.wait(lambda: len(page.all(".visit")) == len(LOOKS))
    settle(page, "#shelf")
    save(page, folder / "page-light.png")
    page.prefer("dark")
    page.search(QUERY)
    settle(page, "#results")
    save(page, folder / "page-dark.png")
    page.prefer("light")
    page.click("#results .card-why")
    page.wait(lambda: page.all("#why-dialog .level"))
    save(page, folder / "page-why.png")
    page.close_dialog()
    for query, name in ((READ, "page-search.png"), (NONSENSE, "page-nothing.png")):
        page.search(query)
        settle(page, "#results")
        save(page, folder / name)
    refine(page)
    save(page, folder / "page-refined.png")
    page.click("#clear-filters")
    Select(page.one("#sort")).select_by_visible_text("Relevance")
    page.search(QUERY)
    page.resize(*PHONE, scale=2)
    page.script("scrollTo(0, 0)")
    settle(page, "#results")
    save(page, folder / "page-phone.png")


def take_admin(page: Page, folder: Path) -> None:
    """The page of administrators, with the report of the newest model, where the server opens it to everybody."""
    page.resize(*SIDE)
    page.prefer("light")
    page.driver.get(page.url + "/admin")
    page.wait(lambda: page.all("#models table") and page.all("#analytics .chart, #analytics .quiet"))
    page.click("#models tbody .button")
    page.wait(lambda: page.all("#model-report table, #model-report .quiet"))
    page.resize(SIDE[0], page.script("return document.getElementById('synonyms').parentElement.offsetTop"))
    page.script("scrollTo(0, 0)")
    save(page, folder / "admin.png")
    with curated(page.url):
        page.resize(*SIDE)
        reload(page)
        page.click("[aria-label='Preview sleeping bags']")
        page.wait(lambda: page.all(".beside-column"))
        height = page.script("return document.getElementById('overrides').parentElement.offsetHeight")
        page.resize(SIDE[0], height + 24)
        page.script("scrollTo(0, document.getElementById('overrides').parentElement.offsetTop - 12)")
        save(page, folder / "admin-overrides.png")
        page.resize(*SIDE)
        page.click("[aria-label='Edit sleeping bags']")
        save(page, folder / "admin-editor.png")


@contextmanager
def curated(server: str) -> Iterator[None]:
    """Overrides for as long as the pictures are taken."""
    found = httpx.get(f"{server}/search", params={"q": QUERY, "k": 8}).json()["items"]
    ids = [item["id"] for item in found]
    overrides: dict[str, dict[str, Any]] = {
        "sleeping bags": {
            "rule": {"query": "sleeping bag", "match": "contains"},
            "includes": [{"id": ids[6], "position": 1}],
            "excludes": [ids[2]],
            "boost": [{"condition": "price < 150", "factor": 3}],
        },
        "summer sale": {"rule": {"tags": ["sale"]}, "filter_by": "price < 100", "ends_at": "2036-09-01T00:00:00Z"},
    }
    for name, body in overrides.items():
        httpx.put(f"{server}/overrides/{name}", json=body).raise_for_status()
    try:
        yield
    finally:
        for name in overrides:
            httpx.delete(f"{server}/overrides/{name}").raise_for_status()


def look(page: Page, query: str) -> None:
    """Searches, and opens the first item."""
    before = len(page.all(".visit"))
    page.search(query)
    page.click("#results .card-open")
    page.wait(lambda: len(page.all(".visit")) == before + 1)
    page.close_dialog()


def refine(page: Page) -> None:
    """A search with the first brand chosen, in the order of prices, and the menu of brands open."""
    page.search(QUERY)
    page.click(f"{BRANDS} summary")
    page.click(f"{BRANDS} input")
    page.wait(lambda: page.all("#sort option[value='price:asc']"))
    Select(page.one("#sort")).select_by_value("price:asc")
    page.wait(lambda: page.all(".active-chip") and page.is_settled("#results"))
    page.script("document.querySelector(arguments[0]).open = true", BRANDS)
    page.script("document.activeElement.blur()")


def settle(page: Page, section: str) -> None:
    page.wait(lambda: page.is_settled(section) and page.titles(section))
    page.script("document.activeElement.blur()")


def save(page: Page, file: Path) -> None:
    page.driver.save_screenshot(str(file))
    print(f"{file}: {file.stat().st_size // 1024} KB")


if __name__ == "__main__":
    sys.exit(main())
