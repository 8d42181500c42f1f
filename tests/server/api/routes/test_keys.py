"""Keys over HTTP."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from server.auth import key_file
from server.auth.api_key import mint
from server.core.settings import Settings
from tests.support.http_shop import Shop
from tests.support.problems import assert_problem
from tests.support.small_shop import publish_names


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    publish_names(tmp_path, "2025-11-20-a")
    return Settings(bundles=tmp_path, keys=tmp_path / "keys.json")


@pytest.fixture
def admin(settings: Settings) -> Iterator[dict[str, str]]:
    key, text = mint(name="admin", scopes=("admin",))
    assert settings.keys is not None
    key_file.add(settings.keys, key)
    return {"Authorization": f"Bearer {text}"}


async def test_a_key_is_made_used_listed_and_revoked(admin: dict[str, str], shop: Shop) -> None:
    wanted = {"name": "shop", "scopes": ["read"], "rate_per_second": 5, "concurrency": 2}
    response = await shop.client.post("/admin/keys", json=wanted, headers=admin)
    assert response.status_code == 201
    made = response.json()
    assert made["request_id"] == response.headers["x-request-id"]
    assert made["last_used"] is None
    reader = {"Authorization": f"Bearer {made['key']}"}
    assert (await shop.client.get("/search?q=tent", headers=reader)).status_code == 200

    keys = (await shop.client.get("/admin/keys", headers=admin)).json()
    assert [key["name"] for key in keys] == ["admin", "shop"]
    assert keys[1]["last_used"] is not None
    del made["key"], made["request_id"], made["last_used"], keys[1]["last_used"]
    assert keys[1] == made
    assert made | wanted == made

    gone = (await shop.client.delete(f"/admin/keys/{made['id']}", headers=admin)).json()
    assert (gone["id"], gone["name"]) == (made["id"], "shop")
    assert_problem(await shop.client.get("/search?q=tent", headers=reader), 401, "key_unknown")
    again = await shop.client.delete(f"/admin/keys/{made['id']}", headers=admin)
    assert_problem(again, 404, "key_not_found")


@pytest.mark.parametrize("damage", ["gone", "damaged"])
async def test_a_file_that_cannot_be_used_is_told_and_its_keys_stay(
    admin: dict[str, str], shop: Shop, settings: Settings, damage: str
) -> None:
    """A file with the new key alone would take every other key away."""
    assert settings.keys is not None
    settings.keys.unlink() if damage == "gone" else settings.keys.write_text("[{")
    own = (await shop.client.get("/admin/keys", headers=admin)).json()[0]["id"]
    wanted = {"name": "shop", "scopes": ["read"]}
    for call in (
        shop.client.post("/admin/keys", json=wanted, headers=admin),
        shop.client.delete(f"/admin/keys/{own}", headers=admin),
    ):
        body = assert_problem(await call, 409, "no_keys_file")
        assert str(settings.keys) in str(body["detail"])
    assert settings.keys.exists() is (damage == "damaged")
    assert (await shop.client.get("/search?q=tent", headers=admin)).status_code == 200


async def test_the_last_admin_cannot_lock_everybody_out(admin: dict[str, str], shop: Shop) -> None:
    await shop.client.post("/admin/keys", json={"name": "shop", "scopes": ["read", "write"]}, headers=admin)
    own = (await shop.client.get("/admin/keys", headers=admin)).json()[0]["id"]
    body = assert_problem(await shop.client.delete(f"/admin/keys/{own}", headers=admin), 409, "last_key")
    assert "the last key of scope admin" in str(body["detail"])
    await shop.client.post("/admin/keys", json={"name": "second", "scopes": ["admin"]}, headers=admin)
    assert (await shop.client.delete(f"/admin/keys/{own}", headers=admin)).status_code == 200
    assert_problem(await shop.client.get("/admin/keys", headers=admin), 401, "key_unknown")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": "a", "scopes": []},
        {"name": "", "scopes": ["read"]},
        {"name": "a\u001b[2J", "scopes": ["read"]},
        {"name": "a" * 101, "scopes": ["read"]},
        {"name": "a", "scopes": ["root"]},
        {"name": "a", "scopes": ["read"], "rate_per_second": 0},
        {"name": "a", "scopes": ["read"], "concurrency": 0},
        {"name": "a", "scopes": ["read"], "id": "0123456789ab"},
        ["read"],
    ],
)
async def test_what_is_no_key(admin: dict[str, str], shop: Shop, body: object) -> None:
    assert_problem(await shop.client.post("/admin/keys", json=body, headers=admin), 422, "invalid_request")
    assert len((await shop.client.get("/admin/keys", headers=admin)).json()) == 1


async def test_a_body_that_is_no_json(admin: dict[str, str], shop: Shop) -> None:
    headers = admin | {"Content-Type": "application/json"}
    assert_problem(await shop.client.post("/admin/keys", content=b"{", headers=headers), 400, "malformed_json")
    assert_problem(await shop.client.post("/admin/keys", content=b"{", headers=admin), 415, "unsupported_media_type")
