"""HEAD, as load balancers, link checkers and `curl -I` send it, of everything that answers GET."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.api.routes import static
from server.app import create_app
from server.core.settings import Settings
from tests.support.http_shop import Shop
from tests.support.small_shop import publish_names

PLAIN = {"Accept-Encoding": "identity"}
VALUES = {
    **{"item_id": "item-9", "user": "ada", "set_id": "tents", "override_id": "sale"},
    "version": "2025-11-20-a",
}
QUERIES = {"/search": "?q=tent", "/recommend": "?user=ada"}
OF_FLEETS = {"/admin/fleet"}
"""Which this server, in no fleet, refuses."""
UNSTEADY = {
    *("/items", "/metrics", "/search", "/recommend", "/items/{item_id}/similar"),
    *("/latest", "/popular", "/trending", "/items/{item_id}/bought-together"),
}
"""Their answers hold times, so two of them may differ in length."""
STREAMED = {"/items/export"}
"""Nobody knows the length of their answers before they end."""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    publish_names(tmp_path, "2025-11-20-a")
    return Settings(bundles=tmp_path, analytics=tmp_path / "analytics", open_admin=True, guidance_timeout_ms=60_000)


def addresses() -> Iterator[str]:
    """Every GET of the OpenAPI document, and the pages with all that they load."""
    document = create_app(Settings.model_construct(bundles=Path())).openapi()
    yield from (path for path, operations in document["paths"].items() if "get" in operations)
    yield from ("/", "/admin", "/docs", "/openapi.json")
    files = (file.relative_to(static.SHOP).as_posix() for file in static.SHOP.rglob("*.*"))
    yield from (f"/static/{static.DIGEST}/{name}" for name in files if name not in static.PAGES)
    html = (static.STATIC / "swagger" / static.INDEX).read_text()
    yield from (f"/{name}" for name in re.findall(r'(?:href|src)="(docs/[^"]+)"', html))


@pytest.mark.parametrize("path", sorted(addresses()))
async def test_every_get_answers_head(shop: Shop, path: str) -> None:
    await shop.client.put("/synonyms/tents", json={"synonyms": ["tent", "shelter"]})
    await shop.client.put("/overrides/sale", json={"rule": {"query": "tent"}, "excludes": ["item-9"]})
    address = re.sub(r"\{(\w+)\}", lambda name: VALUES[name[1]], path) + QUERIES.get(path, "")
    got, head = await shop.client.get(address, headers=PLAIN), await shop.client.head(address, headers=PLAIN)
    status = 409 if path in OF_FLEETS else 200
    assert (got.status_code, head.status_code) == (status, status), got.text[:500]
    assert head.content == b""
    assert head.headers["content-type"] == got.headers["content-type"]
    assert path in STREAMED or head.headers["content-length"].isdecimal()
    assert path in UNSTEADY | STREAMED or head.headers["content-length"] == str(len(got.content))
    assert set(head.headers) == set(got.headers)


def test_the_list_has_what_probes_ask_for() -> None:
    asked = {"/", "/docs", "/metrics", "/health/live", "/health/ready", "/search", "/items/{item_id}", "/version"}
    assert asked <= set(addresses())
