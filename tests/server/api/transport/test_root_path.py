"""Under the prefix of a reverse proxy, which may take it off or leave it on."""

import re
from pathlib import Path
from urllib.parse import urljoin

import pytest

from server.app import create_app
from server.core.errors import SettingsError
from server.core.settings import Settings
from tests.support.http_shop import Shop
from tests.support.problems import assert_problem
from tests.support.small_shop import patient_settings

PREFIXES = ["/gemserve", "/shops/de-AT/gem.serve", "/~ada"]
ADDRESSES = ["/", "/docs", "/openapi.json", "/health/live", "/version", "/search?q=tent", "/items/tent%2F2%20person"]
STATIC = Path("server/api/static")


@pytest.fixture(params=PREFIXES)
def prefix(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def settings(tmp_path: Path, prefix: str) -> Settings:
    return patient_settings(tmp_path).model_copy(update={"root_path": prefix, "max_batch_bytes": 4 << 20})


@pytest.mark.parametrize("address", ADDRESSES)
async def test_every_address_is_answered_with_the_prefix_and_without(shop: Shop, prefix: str, address: str) -> None:
    taken_off, left_on = await shop.get(address), await shop.get(prefix + address)
    assert taken_off.status_code == left_on.status_code == 200
    assert (await shop.client.head(prefix + address)).status_code == 200
    if "json" in taken_off.headers["content-type"] and "?" not in address:
        assert taken_off.json() == left_on.json()


async def test_nothing_else_begins_with_the_prefix(shop: Shop, prefix: str) -> None:
    for address in (f"{prefix}x/version", f"{prefix}{prefix}/version", f"/x{prefix}/version", f"{prefix}//version"):
        assert_problem(await shop.get(address), 404, "not_found")


async def test_the_openapi_document_names_the_prefix(shop: Shop, prefix: str) -> None:
    assert (await shop.get("/openapi.json")).json()["servers"] == [{"url": prefix}]


@pytest.mark.parametrize("query", ["", "?q=tent&utm_source=%2F%2Fa"])
async def test_the_prefix_alone_leads_to_the_page(shop: Shop, prefix: str, query: str) -> None:
    response = await shop.get(prefix + query)
    assert response.status_code == 308
    location = response.headers["location"]
    assert not re.match(r"/|\w+:", location)  # relative, as another proxy may stand before this one
    assert urljoin(f"http://shop{prefix}{query}", location) == f"http://shop{prefix}/{query}"
    assert response.headers["x-request-id"]
    assert (await shop.get(urljoin(prefix, location))).status_code == 200


@pytest.mark.parametrize("page", ["/", "/docs"])
async def test_what_a_page_loads_is_found_beside_it(shop: Shop, prefix: str, page: str) -> None:
    html = (await shop.get(prefix + page)).text
    named = re.findall(r'(?:href|src)="([^"#]+)[^"]*"', html)
    assert len(named) > 4
    for name in named:
        address = urljoin(f"http://shop{prefix}{page}", name)
        assert address.startswith(f"http://shop{prefix}/"), name
        assert (await shop.client.get(address)).status_code == 200, name


def test_no_script_of_the_pages_asks_for_an_absolute_address() -> None:
    for script in STATIC.glob("*/*.js"):
        text = script.read_text()
        assert re.findall(r"""(?:href|src|url)\s*[:=]\s*["'`]/""", text) == [], script
        assert (
            re.findall(r"""(?:fetch|URL|replaceState|pushState|sendBeacon|assign)\([^)\n]*["'`]/(?!\w*\*)""", text)
            == []
        )


async def test_limits_that_go_by_an_address_hold_under_the_prefix(shop: Shop, prefix: str) -> None:
    body = b'{"requests": []}' + b" " * (3 << 20)  # more than a request may have, and less than a batch may
    headers = {"Content-Type": "application/json"}
    answers = [await shop.client.post(base + "/batch", content=body, headers=headers) for base in ("", prefix)]
    assert answers[0].status_code == answers[1].status_code != 413
    refused = await shop.client.post(f"{prefix}/events", content=body, headers=headers)
    assert_problem(refused, 413, "body_too_large")


async def test_metrics_count_routes_and_not_prefixes(shop: Shop, prefix: str) -> None:
    await shop.get(f"{prefix}/search", q="tent")
    metrics = (await shop.get("/metrics")).text
    assert 'route="/search"' in metrics
    assert f'route="{prefix}/' not in metrics


@pytest.mark.parametrize("own", ["/items", "/docs", "/health", "/static/shop", "/search/de", "/admin", "/openapi.json"])
def test_an_address_of_the_servers_own_is_no_prefix(tmp_path: Path, own: str) -> None:
    with pytest.raises(SettingsError, match=f"--root-path: {own} begins like an address of the server's own: choose"):
        create_app(patient_settings(tmp_path).model_copy(update={"root_path": own}))
