"""Headers of every answer, and pages of other origins."""

from pathlib import Path

import pytest

from server.core.settings import Settings
from tests.support.http_shop import Shop
from tests.support.problems import assert_problem
from tests.support.small_shop import publish_names

SHOP_PAGE = {"Origin": "https://shop.example"}


@pytest.fixture
def settings(tmp_path: Path, request: pytest.FixtureRequest) -> Settings:
    publish_names(tmp_path, "2025-11-20-a")
    return Settings(bundles=tmp_path, max_body_bytes=1_024, max_batch_bytes=4_096, **getattr(request, "param", {}))


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/search?q=tent", 200),
        ("GET", "/search", 422),
        ("GET", "/nowhere", 404),
        ("DELETE", "/search", 405),
        ("GET", "/admin/models", 403),
        ("GET", "/search?q=" + "x" * 20_000, 414),
        ("GET", "/metrics", 200),
        ("GET", "/openapi.json", 200),
        ("GET", "/docs", 200),
        ("GET", "/docs/assets/swagger-ui.css", 200),
    ],
)
async def test_every_answer_tells_browsers_what_not_to_do(shop: Shop, method: str, path: str, status: int) -> None:
    response = await shop.client.request(method, path)
    assert response.status_code == status
    headers = response.headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-frame-options"] == "DENY"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    policy = headers["content-security-policy"]
    if path == "/docs":
        assert policy.startswith("default-src 'self'; ")
        assert "unsafe" not in policy
        assert headers["cache-control"] == "no-cache"
    else:
        assert policy == "default-src 'none'; frame-ancestors 'none'"
        assert headers["cache-control"] == ("no-cache" if path.startswith("/docs") else "no-store")


async def test_without_origins_no_other_page_reads_an_answer(shop: Shop) -> None:
    response = await shop.client.get("/search?q=tent", headers=SHOP_PAGE)
    assert not [name for name in response.headers if name.startswith("access-control")]
    asked = SHOP_PAGE | {"Access-Control-Request-Method": "POST"}
    assert_problem(await shop.client.options("/events", headers=asked), 405, "method_not_allowed")


@pytest.mark.parametrize("settings", [{"cors_origins": ["https://shop.example"]}], indirect=True)
async def test_pages_of_named_origins_read_answers_and_errors(shop: Shop) -> None:
    for path in ("/search?q=tent", "/search", "/nowhere", "/search?q=" + "x" * 20_000):
        response = await shop.client.get(path, headers=SHOP_PAGE)
        assert response.headers["access-control-allow-origin"] == "https://shop.example"
        assert "X-Request-ID" in response.headers["access-control-expose-headers"]
        other = await shop.client.get(path, headers={"Origin": "https://other.example"})
        assert "access-control-allow-origin" not in other.headers
    wanted = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    response = await shop.client.options("/events", headers=SHOP_PAGE | wanted)
    assert response.status_code == 200
    assert response.headers["x-request-id"]
    assert response.headers["x-content-type-options"] == "nosniff"
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        assert method in response.headers["access-control-allow-methods"]
    assert "Authorization" in response.headers["access-control-allow-headers"]
    assert "access-control-allow-credentials" not in response.headers


async def test_a_batch_may_be_larger_than_other_bodies(shop: Shop) -> None:
    body, kind = b"[" + b" " * 2_000 + b"]", {"Content-Type": "application/json"}
    assert_problem(await shop.client.post("/events", content=body, headers=kind), 413, "body_too_large")
    assert (await shop.client.post("/batch", content=body, headers=kind)).json().get("code") != "body_too_large"
    assert_problem(await shop.client.post("/batch", content=body * 3, headers=kind), 413, "body_too_large")
