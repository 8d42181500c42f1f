"""The shop's page and /docs as a browser gets them; tests/e2e is about what it does with them."""

import re
from os.path import normpath
from pathlib import Path

import httpx
import pytest

from server.api.routes import static
from tests.support.http_shop import Shop
from tests.support.problems import assert_problem

WEB = Path(static.__file__).parents[1] / "static/shop"
KINDS = {".css": "text/css", ".js": "javascript", ".svg": "image/svg+xml"}


FILES = sorted(file for file in WEB.rglob("*") if file.is_file() and file.name != "index.html")


def folder_of(page: httpx.Response) -> str:
    """Where this page's files are: `/static/` and their digest."""
    (folder,) = {f"/{found}" for found in re.findall(r"static/\w+/", page.text)}
    return folder


async def test_the_page_is_at_the_root_and_asked_for_again(shop: Shop) -> None:
    response = await shop.get("/")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")
    assert response.headers["cache-control"] == "no-cache"
    assert response.text.replace(folder_of(response)[1:], "static/") == (WEB / "index.html").read_text()
    again = await shop.client.get("/", headers={"If-None-Match": response.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["cache-control"] == "no-cache"
    other = await shop.client.get("/", headers={"If-None-Match": '"of-before"'})
    assert other.text == response.text


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(WEB).as_posix())
async def test_files_have_their_type_and_are_kept_for_good(file: Path, shop: Shop) -> None:
    response = await shop.get(folder_of(await shop.get("/")) + file.relative_to(WEB).as_posix())
    assert response.content == file.read_bytes()
    assert KINDS[file.suffix] in response.headers["content-type"]
    assert response.headers["cache-control"] == "public, max-age=31536000, immutable"


def test_another_name_or_content_is_another_address(tmp_path: Path) -> None:
    (tmp_path / "app.js").write_text("1")
    (tmp_path / "base.css").write_text("2")
    first = static.digest_of(tmp_path)
    assert static.digest_of(tmp_path) == first
    (tmp_path / "app.js").write_text("3")
    second = static.digest_of(tmp_path)
    (tmp_path / "app.js").rename(tmp_path / "shop.js")
    assert len({first, second, static.digest_of(tmp_path)}) == 3


async def test_files_of_another_version_are_not_served(shop: Shop) -> None:
    assert_problem(await shop.get("/static/0123456789abcdef/app.js"), 404, "not_found")


async def test_a_page_that_is_kept_keeps_its_security_policy(shop: Shop) -> None:
    page = await shop.get("/")
    assert "default-src 'self'" in page.headers["content-security-policy"]
    again = await shop.client.get("/", headers={"If-None-Match": page.headers["etag"]})
    assert again.status_code == 304
    assert "content-security-policy" not in again.headers


@pytest.mark.parametrize("path", ["/static/app.js", "/static/", "/static"])
async def test_nothing_else_is_served(path: str, shop: Shop) -> None:
    assert_problem(await shop.get(path), 404, "not_found")


@pytest.mark.parametrize(
    "name", ["", "nothing.js", "index.html", "admin/index.html", "..%2froutes%2fstatic.py", "%2fetc%2fpasswd"]
)
async def test_nothing_else_is_served_beside_the_files(name: str, shop: Shop) -> None:
    assert_problem(await shop.get(folder_of(await shop.get("/")) + name), 404, "not_found")


async def test_only_get_and_head_are_answered(shop: Shop) -> None:
    assert (await shop.client.head("/")).status_code == 200
    app = folder_of(await shop.get("/")) + "app.js"
    assert (await shop.client.head(app)).status_code == 200
    assert_problem(await shop.client.post(app), 405, "method_not_allowed")


def test_the_page_keeps_to_the_security_policy() -> None:
    for page in WEB.rglob("*.html"):
        assert re.findall(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=|https?://", page.read_text()) == []
    for script in WEB.rglob("*.js"):
        assert re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", script.read_text()) == []


def test_everything_that_is_named_exists_and_is_used() -> None:
    files = {file.relative_to(WEB): file.read_text() for file in WEB.rglob("*") if file.is_file()}
    named = set()
    for path, text in files.items():
        named |= {Path(name) for name in re.findall(r'"static/([\w./-]+)', text)}
        named |= {
            Path(normpath(path.parent / name)) for name in re.findall(r'"((?:\.\.?/)+(?:[\w-]+/)*[\w.-]+\.\w+)', text)
        }
    assert named == set(files) - {Path("index.html"), Path("admin/index.html")}


async def test_the_documentation_takes_everything_from_this_server(shop: Shop) -> None:
    page = await shop.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    places = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(places) == 5
    for place in places:
        assert not re.match(r"\w+:|//", place)
        response = await shop.client.get(f"/{place}")
        assert response.status_code == 200, place
        kept = await shop.client.get(f"/{place}", headers={"If-None-Match": response.headers.get("etag", "")})
        assert kept.status_code == (304 if "assets" in place else 200)


async def test_nothing_in_the_documentation_needs_an_exception_from_its_policy(shop: Shop) -> None:
    page = (await shop.get("/docs")).text
    assert not re.search(r"<script(?![^>]*src=)|<style|\son\w+=|\sstyle=", page)
    script = (await shop.get("/docs/assets/start.js")).text
    assert 'url: "openapi.json"' in script
    assert "validatorUrl: null" in script


@pytest.mark.parametrize("path", ["/docs/assets/", "/docs/assets/none.js", "/docs/assets/..%2F..%2Fapp.py"])
async def test_nothing_else_is_in_the_documentation(shop: Shop, path: str) -> None:
    assert_problem(await shop.client.get(path), 404, "not_found")
