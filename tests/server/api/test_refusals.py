"""What is refused is refused as docs/errors.md says, and leaves everything as it was."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from server.auth import key_file
from server.auth.api_key import mint
from server.core.settings import Settings
from server.query.cursor import CursorCodec, Page
from server.query.types import Query
from tests.support.http_shop import Shop
from tests.support.memory_history import MemoryHistory
from tests.support.problems import assert_problem
from tests.support.small_shop import NAMES, publish_names

SECRET = "a secret of sixteen"
MODEL = "2025-11-20-a"
EVENT = {"user_id": "ada", "type": "view", "item_id": "item-9"}
ITEM = {"id": "item-9", "title": "Another title"}


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, dict[str, str]]:
    """Headers by scope."""
    made = {}
    for scope in ("read", "write", "admin"):
        key, text = mint(name=scope, scopes=(scope,))
        key_file.add(tmp_path / "keys.json", key)
        made[scope] = {"Authorization": f"Bearer {text}"}
    return made


@pytest.fixture
def settings(tmp_path: Path, keys: dict[str, dict[str, str]]) -> Settings:
    publish_names(tmp_path, MODEL, "2025-11-21-a")
    return Settings(bundles=tmp_path, keys=tmp_path / "keys.json", cursor_secret=SECRET)  # type: ignore[arg-type]


@pytest.fixture
async def state(shop: Shop, keys: dict[str, dict[str, str]], history: MemoryHistory) -> AsyncIterator[None]:
    """After the test everything must be as it was."""
    shop.client.headers.update(keys["admin"])
    await shop.saw("ada", "item-10")
    before = await everything(shop, history)
    yield
    shop.client.headers.update(keys["admin"])
    assert await everything(shop, history) == before


async def everything(shop: Shop, history: MemoryHistory) -> list[object]:
    places = [f"/items/{name}" for name in ("item-9", "item-10")] + ["/users/ada/history", "/admin/models"]
    bodies = [(await shop.get(place)).json() for place in places]
    for body in bodies:
        body.pop("request_id", None)
    keys = [key["id"] for key in (await shop.get("/admin/keys")).json()]
    version = (await shop.get("/version")).json()
    return [bodies, keys, (version["items"], version["catalog_version"]), list(history.events)]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("DELETE", "/items/nobody", None, 404, "item_not_found"),
        ("DELETE", "/admin/keys/000000000000", None, 404, "key_not_found"),
        ("POST", "/admin/models/2020/activate", None, 404, "model_not_found"),
        ("POST", "/admin/models/rollback", None, 409, "activation_failed"),
        ("PUT", "/admin/traffic", {"weights": {MODEL: 1, "2020": 1}}, 404, "model_not_found"),
        ("PUT", "/admin/traffic", {"weights": {MODEL: 1}}, 422, "invalid_request"),
        ("POST", "/admin/keys", {"name": "x", "scopes": ["all"]}, 422, "invalid_request"),
        ("POST", "/users/ada/merge", {"session": "ada"}, 422, "invalid_request"),
        ("POST", "/users/ada/merge", {}, 422, "invalid_request"),
        ("POST", "/events", [EVENT] * 1_001, 413, "too_many_events"),
        ("POST", "/events", [], 422, "invalid_event"),
        ("POST", "/events", {"user_id": "ada", "item_id": "item-9"}, 422, "invalid_event"),
        ("POST", "/items", [ITEM] * 1_001, 413, "too_many_items"),
        ("POST", "/items", [ITEM, ITEM | {"id": "b", "price": "dear"}], 422, "invalid_change"),
        ("PUT", "/items/item-9", {"colour": "red"}, 422, "invalid_change"),
        ("PATCH", "/items/item-9", {"price": 3, "colour": "red"}, 422, "invalid_change"),
        ("PATCH", "/items/nobody", {"price": 3}, 404, "item_not_found"),
        ("POST", "/batch", [{"kind": "search", "q": "a"}] * 10_001, 413, "too_many_questions"),
        ("POST", "/search", {"q": "tent", "user": "ada", "history": []}, 422, "invalid_request"),
        ("POST", "/search", {"q": "tent", "fields": ["prize"]}, 422, "invalid_request"),
        ("PUT", "/search", {}, 405, "method_not_allowed"),
    ],
)
async def test_a_bad_request(
    shop: Shop, state: None, method: str, path: str, body: object, status: int, code: str
) -> None:
    sent = {} if body is None else {"json": body}
    assert_problem(await shop.client.request(method, path, **sent), status, code)  # type: ignore[arg-type]


@pytest.mark.parametrize("filter_text", ["price <", "prize < 3", "price < cheap", 'category = "Tents" and', "("])
async def test_a_filter_that_cannot_be_read_is_shown_where(shop: Shop, state: None, filter_text: str) -> None:
    for response in (
        await shop.get("/search", q="tent", filter=filter_text),
        await shop.client.post("/recommend", json={"user": "ada", "filter": filter_text}),
        await shop.get("/items/item-9/similar", filter=filter_text),
    ):
        body = assert_problem(response, 422, "invalid_filter")
        position, length = body["position"], body["length"]
        assert isinstance(position, int)
        assert isinstance(length, int)
        assert 0 <= position <= position + length <= len(filter_text)


@pytest.mark.parametrize(
    ("method", "path", "body", "scope"),
    [
        ("GET", "/search?q=tent", None, "read"),
        ("GET", "/users/ada/history", None, "read"),
        ("POST", "/batch", [{"kind": "search", "q": "a"}], "read"),
        ("POST", "/events", EVENT, "write"),
        ("POST", "/users/ada/merge", {"session": "visit"}, "write"),
        ("DELETE", "/users/ada", None, "write"),
        ("DELETE", "/items/item-9", None, "admin"),
        ("PATCH", "/items/item-9", {"price": 3}, "admin"),
        ("POST", "/items", [ITEM], "admin"),
        ("POST", "/admin/keys", {"name": "x", "scopes": ["admin"]}, "admin"),
        ("DELETE", "/admin/traffic", None, "admin"),
    ],
)
async def test_somebody_who_may_not(
    shop: Shop,
    state: None,
    keys: dict[str, dict[str, str]],
    method: str,
    path: str,
    body: object,
    scope: str,
) -> None:
    other = "write" if scope == "read" else "read"
    for headers, status, code in (
        ({"Authorization": "Bearer gsk_000000000000_wrong"}, 401, "key_unknown"),
        ({"Authorization": "Basic YTpi"}, 401, "key_missing"),
        (keys[other], 403, "scope_missing"),
    ):
        response = await shop.client.request(method, path, headers=headers, **({} if body is None else {"json": body}))
        assert_problem(response, status, code)


async def test_a_cursor_of_yesterday(shop: Shop, state: None) -> None:
    """As this server would have written it."""
    asked = {"exclude_seen": frozenset[str](), "correct": True, "understand": True, "prefix": True, "guidance": True}
    query = Query(request_id="r", kind="search", text="tent", k=3, **asked)
    for age, status in ((3_500, 200), (3_700, 422)):
        past = CursorCodec((SECRET,), clock=lambda age=age: time.time() - age)  # type: ignore[misc]
        cursor = past.next_cursor(query, Page((), "r"), NAMES[:3])
        response = await shop.get("/search", q="tent", k=3, cursor=cursor)
        assert response.status_code == status, response.text
    assert_problem(response, 422, "expired_cursor")
    body = {"q": "tent", "k": 3, "cursor": cursor}
    assert_problem(await shop.client.post("/search", json=body), 422, "expired_cursor")
    assert_problem(await shop.client.post("/search", json=body | {"q": "rope"}), 422, "foreign_cursor")
    assert_problem(await shop.client.post("/search", json=body | {"cursor": "x"}), 422, "invalid_cursor")


async def test_half_a_list_of_events(shop: Shop, keys: dict[str, dict[str, str]], history: MemoryHistory) -> None:
    shop.client.headers.update(keys["write"])
    rows = [EVENT, EVENT | {"item_id": "ghost"}, 7, EVENT | {"timestamp": 1}, EVENT | {"type": "buy"}, EVENT]
    receipt = (await shop.post(rows)).json()
    assert [(row["index"], row["known"]) for row in receipt["accepted"]] == [(0, True), (1, False), (5, True)]
    rejected = [(row["index"], row["code"]) for row in receipt["rejected"]]
    assert rejected == [
        (2, "not_an_object"),
        (3, "timestamp_in_seconds"),
        (4, "enum"),
    ]
    assert len(history.events) == 3


async def test_null_is_as_good_as_nothing(shop: Shop, state: None) -> None:
    nothing = dict.fromkeys(("cursor", "filter", "candidates", "fields", "min_score", "timeout_ms", "user", "session"))
    for path, body in (("/search", {"q": "tent", "history": None}), ("/recommend", {"history": []})):
        with_nulls = (await shop.client.post(path, json=nothing | body)).json()
        assert with_nulls["items"] == (await shop.client.post(path, json=body)).json()["items"]


async def test_erasing_somebody_unknown_is_harmless(shop: Shop, state: None) -> None:
    erased = await shop.client.delete("/users/nobody")
    assert (erased.status_code, erased.json()["events_erased"]) == (200, 0)
