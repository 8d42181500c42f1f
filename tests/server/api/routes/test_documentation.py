"""/docs, as far as it goes without a browser; tests/e2e opens it in one."""

import re

import pytest

from tests.support.http_shop import Shop
from tests.support.problems import assert_problem


async def test_the_page_takes_everything_from_this_server(shop: Shop) -> None:
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


async def test_nothing_in_the_page_needs_an_exception_from_its_policy(shop: Shop) -> None:
    page = (await shop.get("/docs")).text
    assert not re.search(r"<script(?![^>]*src=)|<style|\son\w+=|\sstyle=", page)
    script = (await shop.get("/docs/assets/start.js")).text
    assert 'url: "openapi.json"' in script
    assert "validatorUrl: null" in script


@pytest.mark.parametrize("path", ["/docs/assets/", "/docs/assets/none.js", "/docs/assets/..%2F..%2Fapp.py"])
async def test_nothing_else_is_there(shop: Shop, path: str) -> None:
    assert_problem(await shop.client.get(path), 404, "not_found")
