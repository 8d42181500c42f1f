"""The page's files as a browser gets them; tests/e2e is about what it does with them."""

import re
from pathlib import Path

import pytest

from server.routes import page
from tests.server.http_shop import Shop
from tests.server.problems import assert_problem

WEB = Path(page.__file__).parents[1] / "web"
KINDS = {".html": "text/html", ".css": "text/css", ".js": "javascript", ".svg": "image/svg+xml"}


async def test_the_page_is_at_the_root(shop: Shop) -> None:
    response = await shop.get("/")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")
    assert response.text == (WEB / "index.html").read_text()


@pytest.mark.parametrize("file", sorted(WEB.iterdir()), ids=lambda file: file.name)
async def test_files_have_their_type_and_are_asked_for_again(file: Path, shop: Shop) -> None:
    response = await shop.get(f"/static/{file.name}")
    assert response.content == file.read_bytes()
    assert KINDS[file.suffix] in response.headers["content-type"]
    assert response.headers["cache-control"] == "no-cache"
    again = await shop.client.get(f"/static/{file.name}", headers={"If-None-Match": response.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["cache-control"] == "no-cache"


async def test_a_page_that_is_kept_keeps_its_security_policy(shop: Shop) -> None:
    page = await shop.get("/")
    assert "default-src 'self'" in page.headers["content-security-policy"]
    again = await shop.client.get("/", headers={"If-None-Match": page.headers["etag"]})
    assert again.status_code == 304
    assert "content-security-policy" not in again.headers


@pytest.mark.parametrize("path", ["/static/nothing.js", "/static/", "/static/..%2froutes%2fpage.py", "/static"])
async def test_nothing_else_is_served(path: str, shop: Shop) -> None:
    assert_problem(await shop.get(path), 404, "not_found")


async def test_only_get_and_head_are_answered(shop: Shop) -> None:
    assert (await shop.client.head("/")).status_code == 200
    assert_problem(await shop.client.post("/static/app.js"), 405, "method_not_allowed")


def test_the_page_keeps_to_the_security_policy() -> None:
    html = (WEB / "index.html").read_text()
    assert re.findall(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=|https?://", html) == []
    for script in WEB.glob("*.js"):
        assert re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", script.read_text()) == []


def test_everything_that_is_named_exists_and_is_used() -> None:
    text = {file.name: file.read_text() for file in WEB.iterdir()}
    named = set(re.findall(r'(?:/static/|"\./)([\w.-]+)', "".join(text.values())))
    assert named == set(text) - {"index.html"}
