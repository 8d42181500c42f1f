"""The audit log: every change that is carried out, with its maker, and nothing else."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog

from catalog.data.tombstones import digest_of
from server.auth import key_file
from server.auth.api_key import mint
from server.core.settings import Settings
from server.serving.manager import DeploymentManager
from tests.support.http_shop import Shop
from tests.support.memory_app import create_memory_app
from tests.support.memory_audit_log import MemoryAuditLog
from tests.support.problems import assert_problem
from tests.support.small_shop import publish_names

FIRST, SECOND = "2025-11-20-a", "2025-11-21-a"


@pytest.fixture
def audit_log() -> MemoryAuditLog:
    return MemoryAuditLog()


@pytest.fixture
def admin(settings: Settings) -> dict[str, str]:
    key, text = mint(name="ops", scopes=("admin",))
    assert settings.keys is not None
    key_file.add(settings.keys, key)
    return {"X-API-Key": text}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    publish_names(tmp_path, "2025-11-20-a", "2025-11-21-a")
    return Settings(bundles=tmp_path, keys=tmp_path / "keys.json", guidance_timeout_ms=60_000)


@pytest.fixture
async def shop(
    settings: Settings, admin: dict[str, str], deployments: DeploymentManager, audit_log: MemoryAuditLog
) -> AsyncIterator[Shop]:
    app = create_memory_app(settings, lambda _: deployments, audit_log=audit_log)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app, client=("192.0.2.7", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://shop", headers=admin) as client:
            yield Shop(client)


async def log_of(shop: Shop, **parameters: object) -> list[dict[str, Any]]:
    answer = await shop.get("/admin/audit", **parameters)
    assert answer.status_code == 200, answer.text
    changes: list[dict[str, Any]] = answer.json()["changes"]
    return changes


HIDE = {"rule": {"query": "tent"}, "excludes": ["item-9"]}
CHANGES = [
    ("PUT", "/items/new%2Fone", {"title": "New"}, "/items/{item_id}", {"item_id": "new/one"}),
    ("PATCH", "/items/item-4", {"price": 3}, "/items/{item_id}", {"item_id": "item-4"}),
    ("DELETE", "/items/item-7", None, "/items/{item_id}", {"item_id": "item-7"}),
    ("POST", "/items", [{"id": "item-8", "title": "Eight"}], "/items", {}),
    ("POST", "/items/import", [{"id": "item-8", "title": "Eight"}, {"id": "item-9", "price": 3}], "/items/import", {}),
    ("PATCH", "/schema", {"columns": [{"name": "fragile", "type": "bool"}]}, "/schema", {}),
    ("PUT", "/synonyms/seats", {"synonyms": ["sofa", "couch"]}, "/synonyms/{set_id}", {"set_id": "seats"}),
    ("POST", "/synonyms/import", [{"id": "seats", "synonyms": ["sofa", "couch"]}], "/synonyms/import", {}),
    ("POST", "/overrides/import", [HIDE | {"id": "sale"}], "/overrides/import", {}),
    ("DELETE", "/synonyms/seats", None, "/synonyms/{set_id}", {"set_id": "seats"}),
    ("PUT", "/overrides/sale", HIDE, "/overrides/{override_id}", {"override_id": "sale"}),
    ("DELETE", "/overrides/sale", None, "/overrides/{override_id}", {"override_id": "sale"}),
    ("POST", f"/admin/models/{SECOND}/activate", None, "/admin/models/{version}/activate", {"version": SECOND}),
    ("POST", "/admin/models/rollback", None, "/admin/models/rollback", {}),
    ("PUT", "/admin/traffic", {"weights": {FIRST: 1, SECOND: 1}}, "/admin/traffic", {}),
    ("DELETE", "/admin/traffic", None, "/admin/traffic", {}),
    ("POST", "/admin/keys", {"name": "page", "scopes": ["read"]}, "/admin/keys", {}),
    ("POST", "/users/ada/merge", {"session": "s"}, "/users/{user}/merge", {"user": digest_of("ada")}),
    ("DELETE", "/users/ada", None, "/users/{user}", {"user": digest_of("ada")}),
]


@pytest.mark.parametrize(("method", "path", "body", "route", "target"), CHANGES, ids=lambda value: str(value)[:40])
async def test_every_change_is_noted_with_its_maker(
    shop: Shop, admin: dict[str, str], method: str, path: str, body: object, route: str, target: dict[str, str]
) -> None:
    if "synonyms" in path and method == "DELETE":
        await shop.client.put(path, json={"synonyms": ["sofa", "couch"]})
    if "overrides" in path and method == "DELETE":
        await shop.client.put(path, json=HIDE)
    if "rollback" in path:
        await shop.client.post("/admin/models/2025-11-21-a/activate")
    answer = await shop.client.request(method, path, json=body)
    assert answer.status_code < 300, answer.text
    newest = (await log_of(shop))[0]
    assert (newest["method"], newest["route"], newest["target"]) == (method, route, target)
    assert newest["request_id"] == answer.headers["x-request-id"]
    assert newest["key"] == admin["X-API-Key"].split("_")[1]
    assert (newest["key_name"], newest["address"], newest["status"]) == ("ops", "192.0.2.7", answer.status_code)
    assert "gsk_" not in str(newest)


async def test_every_route_that_changes_something_is_tried(shop: Shop) -> None:
    document = (await shop.get("/openapi.json")).json()
    changing = {
        (method.upper(), path)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if method != "get" and operation.get("security", [{"key": ["read"]}])[0]["key"] != ["read"]
    }
    tried = {(method, route) for method, _, _, route, _ in CHANGES}
    assert changing - tried == {("POST", "/events"), ("DELETE", "/admin/keys/{key_id}")}


async def test_what_changes_nothing_is_not_noted(shop: Shop) -> None:
    await shop.client.post("/events", json={"user_id": "ada", "type": "view", "item_id": "item-4"})
    await shop.client.post("/search", json={"q": "tent"})
    await shop.client.put("/items/item-4", json={"price": "many"})
    await shop.client.delete("/items/nobody-has-it")
    assert (await shop.client.post("/items/import?dry_run=true", json=[{"id": "item-4"}])).status_code == 200
    await shop.client.post("/admin/models/none/activate")
    await shop.client.put("/items/item-4", json={"price": 3}, headers={"X-API-Key": "gsk_typo"})
    assert await log_of(shop) == []


async def test_pages(shop: Shop) -> None:
    for price in range(5):
        await shop.client.patch("/items/item-4", json={"price": price})
    first = (await shop.get("/admin/audit", limit=2)).json()
    second = (await shop.get("/admin/audit", limit=2, cursor=first["next_cursor"])).json()
    third = (await shop.get("/admin/audit", limit=2, cursor=second["next_cursor"])).json()
    assert third["next_cursor"] is None
    pages = [change["request_id"] for page in (first, second, third) for change in page["changes"]]
    assert pages == [change["request_id"] for change in await log_of(shop)]
    assert len(set(pages)) == 5
    assert_problem(await shop.get("/admin/audit", cursor="yesterday"), 422, "invalid_request")


async def test_without_redis_the_servers_log_has_the_change(shop: Shop, audit_log: MemoryAuditLog) -> None:
    audit_log.away = True
    with structlog.testing.capture_logs() as logs:
        answer = await shop.client.patch("/items/item-4", json={"price": 3})
    assert answer.status_code == 200
    (change,) = (line for line in logs if line["event"] == "change")
    assert (change["route"], change["target"], change["key_name"]) == ("/items/{item_id}", {"item_id": "item-4"}, "ops")
    assert any(line["event"] == "change_not_in_audit_log" for line in logs)
    assert_problem(await shop.get("/admin/audit"), 503, "history_unavailable")
