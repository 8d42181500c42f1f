"""Keys, scopes and limits as clients meet them."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from fastapi import FastAPI
from fastapi.routing import APIRoute

from server.app import create_app
from server.app.uvicorn_server import uvicorn_config
from server.auth import key_file
from server.auth.api_key import Scope, mint
from server.auth.authorizer import Admission
from server.auth.rate_limit import RateLimit, RateLimiter
from server.core.settings import Settings
from tests.support.http_shop import Shop
from tests.support.problems import assert_problem
from tests.support.small_shop import RecordingEngine, publish_names

READ = ("GET", "/search?q=tent")
WRITE = ("POST", "/events")
ADMIN = ("GET", "/admin/models")
OPEN = {
    "/openapi.json",
    "/health/live",
    "/health/ready",
    "/metrics",
    "/version",
    "/docs",
    "/docs/assets/{path:path}",
    "/",
    "/admin",
    "/static/{digest}/{path:path}",
}

Mint = Callable[..., str]


@pytest.fixture
def settings(tmp_path: Path, request: pytest.FixtureRequest) -> Settings:
    """Of a server with a file of one key, unless a test takes `keys` away."""
    publish_names(tmp_path, "2025-11-20-a")
    key_file.add(tmp_path / "keys.json", mint(name="first", scopes=("admin",))[0])
    return Settings(**{"bundles": tmp_path, "keys": tmp_path / "keys.json"} | getattr(request, "param", {}))


@pytest.fixture
def key(settings: Settings) -> Mint:
    """Makes a key of scopes before the server starts."""

    def make(*scopes: Scope, **limits: Any) -> str:
        made, text = mint(name="test", scopes=scopes, **limits)
        assert settings.keys is not None
        key_file.add(settings.keys, made)
        return text

    return make


@pytest.fixture
def keys(key: Mint) -> dict[str, str]:
    return {"read": key("read"), "write": key("write"), "both": key("read", "write"), "admin": key("admin")}


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


async def status_of(shop: Shop, call: tuple[str, str], headers: dict[str, str] | None = None) -> int:
    body = {"user_id": "ada", "type": "view", "item_id": "item-9"} if call == WRITE else None
    return (await shop.client.request(*call, json=body, headers=headers)).status_code


async def statuses(shop: Shop, headers: dict[str, str] | None = None) -> list[int]:
    return [await status_of(shop, call, headers) for call in (READ, WRITE, ADMIN)]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"keys": None}, [200, 202, 403]),
        ({"keys": None, "require_keys": False}, [200, 202, 403]),
        ({"keys": None, "open_read": True}, [200, 202, 403]),
        ({"keys": None, "open_admin": True}, [200, 202, 200]),
    ],
    indirect=["settings"],
)
async def test_without_a_file_of_keys(shop: Shop, expected: list[int]) -> None:
    assert await statuses(shop) == expected


@pytest.mark.parametrize("damage", ["emptied", "damaged", "gone"])
@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [401, 401, 401]),
        ({"open_read": True}, [200, 401, 401]),
        ({"open_admin": True}, [401, 401, 401]),
        ({"require_keys": False}, [401, 401, 401]),
    ],
    indirect=["settings"],
)
async def test_a_file_that_loses_its_keys_while_it_is_served_opens_nothing(
    shop: Shop, settings: Settings, expected: list[int], damage: str
) -> None:
    assert settings.keys is not None
    settings.keys.unlink()
    if damage != "gone":
        settings.keys.write_text("[]" if damage == "emptied" else "[{")
    app = shop.client._transport.app  # type: ignore[attr-defined]
    app.state.parts.authorizer.keyring.refresh()
    assert await statuses(shop) == expected


@pytest.mark.parametrize(
    ("settings", "anonymous"),
    [
        ({}, [401, 401, 401]),
        ({"open_read": True}, [200, 401, 401]),
        ({"open_admin": True}, [401, 401, 401]),
        ({"require_keys": True}, [401, 401, 401]),
        ({"require_keys": False}, [401, 401, 401]),
    ],
    indirect=["settings"],
)
async def test_once_there_are_keys(keys: dict[str, str], shop: Shop, anonymous: list[int]) -> None:
    assert await statuses(shop) == anonymous
    open_read = 200 if anonymous[0] == 200 else 403
    assert await statuses(shop, bearer(keys["read"])) == [200, 403, 403]
    assert await statuses(shop, bearer(keys["write"])) == [open_read, 202, 403]
    assert await statuses(shop, bearer(keys["both"])) == [200, 202, 403]
    assert await statuses(shop, bearer(keys["admin"])) == [200, 202, 200]
    assert await statuses(shop, {"X-API-Key": keys["both"]}) == [200, 202, 403]
    assert await statuses(shop, bearer("gsk_" + "0" * 12 + "_" + "0" * 64)) == [401, 401, 401]


async def test_every_refusal_says_what_is_missing(keys: dict[str, str], shop: Shop) -> None:
    response = await shop.client.get("/search?q=tent")
    assert_problem(response, 401, "key_missing")
    assert response.headers["www-authenticate"] == 'Bearer realm="gemserve"'
    response = await shop.client.get("/search?q=tent", headers=bearer("gsk_typo"))
    assert_problem(response, 401, "key_unknown")
    assert 'error="invalid_token"' in response.headers["www-authenticate"]
    response = await shop.client.post("/events", headers=bearer(keys["read"]))
    body = assert_problem(response, 403, "scope_missing")
    assert body["scope"] == "write"
    assert 'error="insufficient_scope", scope="write"' in response.headers["www-authenticate"]
    assert_problem(await shop.client.get("/search", headers={"Authorization": "Basic YTpi"}), 401, "key_missing")


async def test_a_key_is_asked_for_before_anything_is_read(keys: dict[str, str], shop: Shop) -> None:
    """Nobody without one learns what a request must look like, or which items there are."""
    for method, path in [("GET", "/search?k=-1"), ("POST", "/events"), ("GET", "/items/none"), ("PUT", "/items/a")]:
        assert_problem(await shop.client.request(method, path, content=b"{"), 401, "key_missing")


def routes_of(app: FastAPI) -> list[APIRoute]:
    return [route for route in app.routes if isinstance(route, APIRoute)]


def scopes_of(route: APIRoute) -> list[str]:
    return [str(d.call.scope) for d in route.dependant.dependencies if type(d.call).__name__ == "RequiredScope"]


def test_every_route_needs_one_scope_but_for_the_open_ones(settings: Settings) -> None:
    needed = {
        (route.path, tuple(sorted(route.methods))): scopes_of(route)
        for route in routes_of(create_app(settings))
        if route.path not in OPEN
    }
    assert {place: scopes for place, scopes in needed.items() if len(scopes) != 1} == {}
    for (path, methods), (scope,) in needed.items():
        if path.startswith(("/admin/", "/analytics/", "/overrides")) or (
            path.startswith(("/items", "/schema", "/synonyms")) and "GET" not in methods
        ):
            assert scope == "admin", path
        elif path == "/events" or (path.startswith("/users/") and "GET" not in methods):
            assert scope == "write", path
        else:
            assert scope == "read", path


async def test_operators_and_browsers_need_no_key(keys: dict[str, str], shop: Shop) -> None:
    for path in ("/health/live", "/health/ready", "/metrics", "/version", "/openapi.json", "/docs"):
        assert (await shop.client.get(path)).status_code == 200, path


async def test_the_log_has_the_keys_id_and_never_its_secret(keys: dict[str, str], shop: Shop) -> None:
    _, key_id, secret = keys["read"].split("_")
    with structlog.testing.capture_logs() as logs:
        await shop.client.get("/search?q=tent", headers=bearer(keys["read"]))
        await shop.client.get("/search?q=tent", headers=bearer(keys["read"][:-1]))
        await shop.client.get("/admin/models", headers=bearer(keys["read"]))
    assert [(entry["key"], entry["code"]) for entry in logs] == [
        (key_id, None),
        (None, "key_unknown"),
        (key_id, "scope_missing"),
    ]
    assert secret[:-1] not in str(logs)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The limits' time, which passes only where a test says so."""
    clock = Clock()
    monkeypatch.setattr("server.app.parts.RateLimiter", lambda default, shared: RateLimiter(default, clock))
    return clock


@pytest.mark.parametrize("settings", [{"rate_per_second": 0.5, "rate_burst": 2, "open_read": True}], indirect=True)
async def test_a_rate(clock: Clock, key: Mint, shop: Shop) -> None:
    assert [await status_of(shop, READ) for _ in range(3)] == [200, 200, 429]
    response = await shop.client.get("/search?q=tent")
    body = assert_problem(response, 429, "rate_limited")
    assert response.headers["retry-after"] == "2"
    assert "0.5 requests a second" in str(body["detail"])
    assert (await shop.client.get("/health/ready")).status_code == 200
    clock.now += 2
    assert [await status_of(shop, READ) for _ in range(2)] == [200, 429]


@pytest.mark.parametrize("settings", [{"rate_per_second": 1.0, "rate_burst": 1}], indirect=True)
async def test_a_key_has_a_rate_of_its_own_and_shares_it_with_nobody(clock: Clock, key: Mint, shop: Shop) -> None:
    fast, usual = key("read", rate_per_second=3.0), key("read")
    app = shop.client._transport.app  # type: ignore[attr-defined]
    app.state.parts.authorizer.keyring.refresh()
    assert [await status_of(shop, READ, bearer(fast)) for _ in range(4)] == [200, 200, 200, 429]
    assert [await status_of(shop, READ, bearer(usual)) for _ in range(2)] == [200, 429]
    assert [await status_of(shop, READ, bearer("guess")) for _ in range(2)] == [401, 429]


@pytest.fixture
def gate(engine: RecordingEngine, monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Answers wait until it is set."""
    gate, rank = asyncio.Event(), engine.rank

    async def wait(request: Any) -> Any:
        await gate.wait()
        return await rank(request)

    monkeypatch.setattr(engine, "rank", wait)
    return gate


@pytest.mark.parametrize("settings", [{"keys": None, "concurrency": 1, "answer_timeout_seconds": 0.1}], indirect=True)
async def test_requests_under_way_are_counted_to_their_end_however_they_end(gate: asyncio.Event, shop: Shop) -> None:
    for _ in range(3):
        asking = asyncio.create_task(shop.client.get("/search?q=tent"))
        await asyncio.sleep(0.02)
        response = await shop.client.get("/search?q=tent")
        assert_problem(response, 429, "too_many_concurrent")
        assert response.headers["retry-after"] == "1"
        assert (await asking).status_code == 504
    gate.set()
    paths = ("/search", "/search?q=a", "/search?q=b")
    assert [await status_of(shop, ("GET", path)) for path in paths] == [422, 200, 200]


LIMITED = {"keys": None, "rate_per_second": 1.0, "rate_burst": 1}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (LIMITED | {"trusted_proxies": ["10.0.0.1"]}, [200, 200, 429]),
        (LIMITED | {"trusted_proxies": ["10.0.0.0/29"]}, [200, 200, 429]),
        (LIMITED | {"trusted_proxies": ["10.0.0.2"]}, [200, 429, 429]),
        (LIMITED, [200, 429, 429]),
    ],
    indirect=["settings"],
)
async def test_behind_a_trusted_proxy_each_client_has_its_own_rate(
    clock: Clock, settings: Settings, shop: Shop, expected: list[int]
) -> None:
    config = uvicorn_config(shop.client._transport.app, settings)  # type: ignore[attr-defined]
    config.load()
    transport = httpx.ASGITransport(app=config.loaded_app, client=("10.0.0.1", 1))  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as proxy:
        forwarded = [{"X-Forwarded-For": address} for address in ("1.1.1.1", "2.2.2.2", "1.1.1.1")]
        answers = [await proxy.get("/search?q=tent", headers=headers) for headers in forwarded]
    assert [answer.status_code for answer in answers] == expected


async def test_a_request_for_many_things_slows_down_to_its_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, slept = Clock(), []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock.now += seconds

    monkeypatch.setattr("server.auth.authorizer.asyncio.sleep", sleep)
    limiter = RateLimiter(RateLimit(per_second=4.0, burst=2), clock)
    admission = Admission(limiter, limiter.bucket_of_address("10.0.0.1"))
    for _ in range(5):
        await admission.pace()
    assert slept == [0.25, 0.25, 0.25]
