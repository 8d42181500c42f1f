"""Keys that expire, see some items only, or open some routes only."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from server.api.openapi.document import routes_of
from server.app import create_app
from server.auth import key_file
from server.auth.api_key import Scope, iso, mint
from server.auth.key_file import KeyFileError
from server.core.settings import Settings
from server.storage.protocol import LoggedEvent
from tests.support.http_shop import Shop
from tests.support.memory_history import MemoryHistory
from tests.support.problems import assert_problem
from tests.support.small_shop import NAMES, UNAVAILABLE, publish_names

CHEAP = "price < 10"
"""Of the prices 0 to 29, which are the places of the items."""
MINE = [name for place, name in enumerate(NAMES[:10]) if place not in UNAVAILABLE]
THEIRS = NAMES[20]

Mint = Callable[..., dict[str, str]]


@pytest.fixture
def settings(tmp_path: Path, request: pytest.FixtureRequest) -> Settings:
    publish_names(tmp_path, "2025-11-20-a")
    key_file.add(tmp_path / "keys.json", mint(name="first", scopes=("admin",))[0])
    given = getattr(request, "param", {})
    return Settings(**{"bundles": tmp_path, "keys": tmp_path / "keys.json", "guidance_timeout_ms": 60_000} | given)


@pytest.fixture
def key(settings: Settings) -> Mint:
    """Makes a key, and the headers of a request with it."""

    def make(*scopes: Scope, **restrictions: Any) -> dict[str, str]:
        made, text = mint(name="test", scopes=scopes, **restrictions)
        assert settings.keys is not None
        key_file.add(settings.keys, made)
        return {"Authorization": f"Bearer {text}"}

    return make


def app_of(shop: Shop) -> FastAPI:
    return shop.client._transport.app  # type: ignore[attr-defined, no-any-return]


async def asked(shop: Shop, headers: dict[str, str], method: str, path: str, body: object = None) -> httpx.Response:
    app_of(shop).state.parts.authorizer.keyring.refresh()
    return await shop.client.request(method, path, headers=headers, json=body)


@pytest.mark.parametrize(
    ("expires_at", "status"),
    [("2020-01-01T00:00:00Z", 401), ("2020-01-01T00:00:00+14:00", 401), ("2999-01-01T00:00:00Z", 200)],
)
@pytest.mark.parametrize("settings", [{}, {"open_read": True}], indirect=True)
async def test_a_key_expires_also_where_everybody_may_read(key: Mint, shop: Shop, expires_at: str, status: int) -> None:
    headers = key("read", expires_at=expires_at)
    response = await asked(shop, headers, "GET", "/search?q=title")
    assert response.status_code == status
    if status == 401:
        assert_problem(response, 401, "key_expired")
        assert 'error="invalid_token"' in response.headers["www-authenticate"]


async def test_a_key_expires_while_the_server_runs(key: Mint, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    headers = key("read", expires_at=iso(2_000_000_000))
    seconds = 1_999_999_999.0
    monkeypatch.setattr("server.auth.authorizer.time.time", lambda: seconds)
    assert (await asked(shop, headers, "GET", "/search?q=title")).status_code == 200
    seconds = 2_000_000_000.0
    assert_problem(await asked(shop, headers, "GET", "/search?q=title"), 401, "key_expired")


async def test_a_key_opens_its_routes_only(key: Mint, shop: Shop) -> None:
    routes = ("GET /search", "GET /items/{item_id}/similar")
    headers = key("admin", routes=routes)
    assert (await asked(shop, headers, "GET", "/search?q=title")).status_code == 200
    assert (await asked(shop, headers, "HEAD", "/search?q=title")).status_code == 200
    assert (await asked(shop, headers, "GET", "/items/item-4/similar")).status_code == 200
    for method, path in [("POST", "/search"), ("GET", "/items/item-4"), ("GET", "/admin/keys"), ("POST", "/batch")]:
        body = assert_problem(await asked(shop, headers, method, path, {}), 403, "key_restricted")
        assert "GET /search, GET /items/{item_id}/similar" in str(body["detail"])


ANSWERS = {
    "GET /search": ("/search?q=title&k=50", None),
    "POST /search": ("/search", {"q": "title", "k": 50, "history": [THEIRS]}),
    "GET /recommend": ("/recommend?user=ada&k=50&exclude_seen=false&explain=true", None),
    "POST /recommend": ("/recommend", {"history": [THEIRS, MINE[1]], "k": 50, "exclude_seen": False}),
    "GET /items": ("/items?k=50", None),
    "GET /items/{item_id}/similar": (f"/items/{MINE[4]}/similar?k=50", None),
    "POST /similar": ("/similar", {"items": [MINE[4], MINE[4]], "k": 50}),
    "GET /popular": ("/popular?k=50&user=ada", None),
    "GET /trending": ("/trending?k=50&user=ada", None),
    "GET /latest": ("/latest?k=50&user=ada", None),
}
"""What answers with items, and how it is asked for all of them."""
OTHERS = {
    "GET /items/{item_id}/bought-together",
    "GET /suggest",
    "POST /v1/rerank",
    "GET /items/export",
    "GET /items/{item_id}",
    "GET /users/{user}/history",
    "GET /schema",
    "POST /batch",
    "POST /events",
    "POST /users/{user}/merge",
    "DELETE /users/{user}",
}
"""Each has a test below."""
WITHOUT_ITEMS = {"GET /synonyms", "GET /synonyms/{set_id}"}


def test_every_route_is_tried_with_a_filtered_key(settings: Settings) -> None:
    """A route that is new has to be looked at here: what may whoever sees some items only learn by it?"""
    document = create_app(settings).openapi()
    known = {route for route in routes_of(document) if not route.split()[1].startswith("/admin/")}
    secured = {
        f"{method.upper()} {path}": operation["security"][0]["key"]
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if "security" in operation
    }
    open_to_keys = {route for route in known if secured.get(route, ["admin"]) != ["admin"]}
    assert open_to_keys == {*ANSWERS, *OTHERS, *WITHOUT_ITEMS}


@pytest.mark.parametrize("route", ANSWERS)
@pytest.mark.parametrize("further", [None, "price >= 0", "price >= 0 or price < 10"])
async def test_no_answer_shows_an_item_outside_of_the_filter(
    key: Mint, shop: Shop, history: MemoryHistory, route: str, further: str | None
) -> None:
    headers = key("read", "write", filter_by=CHEAP)
    unrestricted = key("read", "write")
    for item in (THEIRS, MINE[1]):
        event = {"user_id": "ada", "type": "view", "item_id": item}
        assert (await asked(shop, unrestricted, "POST", "/events", event)).status_code == 202
    path, body = ANSWERS[route]
    if further is not None:
        path = path if body else f"{path}&filter={further}"
        body = body and body | {"filter": further}
    response = await asked(shop, headers, route.split(maxsplit=1)[0], path, body)
    assert response.status_code == 200, response.text
    found = {item["id"] for item in response.json()["items"]}
    assert found == set(MINE) - ({MINE[4]} if "similar" in route else set())
    assert THEIRS not in response.text


async def test_an_export_has_the_items_of_the_filter_only(key: Mint, shop: Shop) -> None:
    headers = key("read", filter_by=CHEAP)
    for query in ("", "?filter=price >= 0", "?filter=price >= 0 or price < 10", "?fields=title"):
        response = await asked(shop, headers, "GET", f"/items/export{query}")
        assert response.status_code == 200, response.text
        assert {json.loads(line)["id"] for line in response.text.splitlines()} == set(NAMES[:10])
    gone = await asked(shop, key("read", filter_by="colour = 'red'"), "GET", "/items/export")
    assert_problem(gone, 403, "key_unusable")
    imports = await asked(shop, headers, "POST", "/items/import", [{"id": MINE[0]}])
    assert_problem(imports, 403, "scope_missing")


async def test_suggestions_are_of_the_filter_and_of_no_queries(key: Mint, shop: Shop) -> None:
    """People typed them who looked at other items."""
    events = [LoggedEvent(f"user-{who}", THEIRS, "title of others", ()) for who in range(5)]
    await app_of(shop).state.parts.deployments.router.current.catalog.count_events(events, ())
    everything = (await asked(shop, key("read"), "GET", "/suggest?q=title")).json()
    assert [query["text"] for query in everything["queries"]] == ["title of others"]
    for query in ("q=title", "q=", "q=title&filter=price >= 0 or price < 10", "q=summer", "q=outdoor"):
        response = await asked(shop, key("read", filter_by=CHEAP), "GET", f"/suggest?{query}&k=20")
        body = response.json()
        assert body["queries"] == []
        assert {item["id"] for item in body["items"]} <= set(MINE)
        assert {value["count"] for value in body["categories"]} <= {len(MINE)}
        assert THEIRS not in response.text


async def test_reranking_knows_the_items_of_the_filter_only(key: Mint, shop: Shop) -> None:
    """Others are as if they were not there: their ids are unknown, and their ids and titles are texts."""
    title = f"Title {NAMES.index(THEIRS)}"
    documents: list[object] = [{"id": THEIRS}, THEIRS, title, MINE[2], {"id": THEIRS, "text": "title"}, "title"]
    asked_for = {"query": "title", "documents": documents}
    everything = (await asked(shop, key("read"), "POST", "/v1/rerank", asked_for)).json()
    assert {one["item_id"] for one in everything["results"]} == {THEIRS, MINE[2], None}
    body = (await asked(shop, key("read", filter_by=CHEAP), "POST", "/v1/rerank", asked_for)).json()
    found = {one["index"]: one for one in body["results"]}
    assert {one["item_id"] for one in found.values()} == {MINE[2], None}
    assert body["unknown"] == [0]
    assert found[0] == {"index": 0, "relevance_score": 0, "item_id": None, "document": {"text": THEIRS}}
    assert found[4]["relevance_score"] == found[5]["relevance_score"]
    strange = {"query": "title", "documents": ["another", title.replace("20", "77")]}
    unknown = (await asked(shop, key("read"), "POST", "/v1/rerank", strange)).json()["results"]
    assert {one["relevance_score"] for one in unknown} <= {one["relevance_score"] for one in found.values()}


async def test_a_schema_counts_the_items_of_the_filter_only(key: Mint, shop: Shop) -> None:
    answer = (await asked(shop, key("read", filter_by=CHEAP), "GET", "/schema")).json()
    assert answer["items"] == 10
    assert {column["values"] for column in answer["columns"] if column["name"] in ("id", "price", "title")} == {10, 9}


async def test_pages_candidates_and_other_peoples_cursors_stay_inside(key: Mint, shop: Shop) -> None:
    mine, all_of_it = key("read", filter_by=CHEAP), key("read")
    seen: list[str] = []
    path = "/search?q=title&k=4"
    response = await asked(shop, mine, "GET", path)
    while (cursor := response.json()["next_cursor"]) is not None:
        seen += [item["id"] for item in response.json()["items"]]
        response = await asked(shop, mine, "GET", f"{path}&cursor={cursor}")
    seen += [item["id"] for item in response.json()["items"]]
    assert sorted(seen) == sorted(MINE)
    foreign = (await asked(shop, all_of_it, "GET", path)).json()["next_cursor"]
    assert_problem(await asked(shop, mine, "GET", f"{path}&cursor={foreign}"), 422, "foreign_cursor")
    body = {"q": "title", "candidates": [THEIRS, MINE[2]]}
    response = await asked(shop, mine, "POST", "/search", body)
    assert [item["id"] for item in response.json()["items"]] == [MINE[2]]


async def test_items_and_histories_stay_inside(key: Mint, shop: Shop) -> None:
    mine, all_of_it = key("read", "write", filter_by=CHEAP), key("read", "write")
    assert (await asked(shop, mine, "GET", f"/items/{MINE[4]}")).status_code == 200
    assert (await asked(shop, mine, "GET", "/items/item-5")).status_code == 200  # unavailable, and inside
    assert_problem(await asked(shop, mine, "GET", f"/items/{THEIRS}"), 404, "item_not_found")
    assert_problem(await asked(shop, mine, "GET", f"/items/{THEIRS}/similar"), 404, "item_not_found")
    assert_problem(await asked(shop, mine, "GET", f"/items/{THEIRS}/bought-together"), 404, "item_not_found")
    assert_problem(await asked(shop, mine, "POST", "/similar", {"items": [MINE[4], THEIRS]}), 404, "item_not_found")
    for item in ("nobody-knows-it", THEIRS, MINE[1], THEIRS):
        await asked(shop, all_of_it, "POST", "/events", {"user_id": "ada", "type": "view", "item_id": item})
    response = await asked(shop, mine, "GET", "/users/ada/history?limit=1")
    assert [event["item_id"] for event in response.json()["events"]] == [MINE[1]]
    assert response.json()["total"] == 1
    assert (await asked(shop, all_of_it, "GET", "/users/ada/history")).json()["total"] == 4


async def test_a_batch_stays_inside(key: Mint, shop: Shop) -> None:
    mine = key("read", filter_by=CHEAP)
    lines = [
        {"kind": "search", "q": "title", "k": 50},
        {"kind": "similar", "item": THEIRS},
        {"kind": "recommend", "history": [THEIRS], "k": 50},
    ]
    response = await asked(shop, mine, "POST", "/batch?ordered=true", lines)
    first, second, third = [httpx.Response(200, text=line).json() for line in response.text.splitlines()]
    for line in (first, third):
        assert {item["id"] for item in line["answer"]["items"]} == set(MINE)
    assert second["problem"]["code"] == "item_not_found"


async def test_events_are_of_items_inside_and_users_are_not_touched(key: Mint, shop: Shop) -> None:
    mine = key("write", filter_by=CHEAP)
    events = [{"user_id": "ada", "type": "view", "item_id": item} for item in (MINE[1], THEIRS, "nobody-knows-it")]
    receipt = (await asked(shop, mine, "POST", "/events", events)).json()
    assert [row["index"] for row in receipt["accepted"]] == [0]
    assert [(row["index"], row["code"]) for row in receipt["rejected"]] == [
        (1, "item_not_found"),
        (2, "item_not_found"),
    ]
    assert_problem(await asked(shop, mine, "POST", "/users/ada/merge", {"session": "s"}), 403, "key_restricted")
    assert_problem(await asked(shop, mine, "DELETE", "/users/ada"), 403, "key_restricted")


async def test_a_filter_that_does_not_fit_the_items_opens_nothing(key: Mint, shop: Shop) -> None:
    mine = key("read", "write", filter_by='colour_of_roof = "red"')
    for method, path, body in [
        ("GET", "/search?q=title", None),
        ("GET", f"/items/{MINE[1]}", None),
        ("POST", "/events", {"user_id": "ada", "type": "view", "item_id": MINE[1]}),
    ]:
        detail = assert_problem(await asked(shop, mine, method, path, body), 403, "key_unusable")["detail"]
        assert "colour_of_roof" in str(detail)


async def test_a_change_of_an_item_moves_it_out_of_the_filter(key: Mint, shop: Shop) -> None:
    mine, admin = key("read", filter_by=CHEAP), key("admin")
    await asked(shop, mine, "GET", "/search?q=title")
    response = await asked(shop, admin, "PATCH", f"/items/{MINE[1]}", {"price": 99})
    assert response.status_code == 200, response.text
    response = await asked(shop, mine, "GET", "/search?q=title&k=50")
    assert {item["id"] for item in response.json()["items"]} == set(MINE) - {MINE[1]}


@pytest.mark.parametrize(
    ("wanted", "field", "hint"),
    [
        ({"expires_at": "tomorrow"}, "expires_at", "2027-01-31T18:00:00Z"),
        ({"expires_at": "2027-01-31T18:00:00"}, "expires_at", "time zone"),
        ({"filter_by": "price <"}, "filter_by", "expected a value"),
        ({"filter_by": "colour = 1"}, "filter_by", "colour"),
        ({"filter_by": CHEAP, "scopes": ["read", "admin"]}, "filter_by", "administer"),
        ({"routes": ["GET /serch"]}, "routes", "did you mean GET /search?"),
        ({"routes": ["get /search"]}, "routes", "pattern"),
        ({"routes": []}, "routes", "at least 1"),
    ],
)
async def test_a_restriction_that_is_none_makes_no_key(
    key: Mint, shop: Shop, wanted: dict[str, object], field: str, hint: str
) -> None:
    admin = key("admin")
    body = {"name": "test", "scopes": ["read"]} | wanted
    response = await asked(shop, admin, "POST", "/admin/keys", body)
    detail = str(assert_problem(response, 422, "invalid_request")["detail"])
    assert field in detail
    assert hint in detail
    assert len((await asked(shop, admin, "GET", "/admin/keys")).json()) == 2


async def test_a_key_made_over_http_has_its_restrictions(key: Mint, shop: Shop) -> None:
    admin = key("admin")
    wanted = {"filter_by": CHEAP, "routes": ["GET /search"], "expires_at": "2999-01-01T01:00:00+01:00"}
    made = (await asked(shop, admin, "POST", "/admin/keys", {"name": "norvik", "scopes": ["read"]} | wanted)).json()
    shown = {name: made[name] for name in wanted}
    assert shown == wanted | {"expires_at": "2999-01-01T00:00:00Z"}
    headers = {"X-API-Key": made["key"]}
    assert {item["id"] for item in (await asked(shop, headers, "GET", "/search?q=title&k=50")).json()["items"]} == set(
        MINE
    )
    assert_problem(await asked(shop, headers, "GET", "/recommend?user=ada"), 403, "key_restricted")


async def test_the_last_key_that_administers_without_restrictions_stays(shop: Shop, settings: Settings) -> None:
    assert settings.keys is not None
    first = key_file.read(settings.keys)[0]
    made, text = mint(name="for a day", scopes=("admin",), expires_at="2999-01-01T00:00:00Z")
    key_file.add(settings.keys, made)
    headers = {"X-API-Key": text}
    assert_problem(await asked(shop, headers, "DELETE", f"/admin/keys/{first.id}"), 409, "last_key")
    assert (await asked(shop, headers, "DELETE", f"/admin/keys/{made.id}")).status_code == 200


@pytest.mark.parametrize(
    "damage",
    [
        {"filter_by": "price <"},
        {"filter_by": ""},
        {"routes": []},
        {"routes": ["everything"]},
        {"expires_at": "soon"},
        {"scopes": ["admin"], "filter_by": CHEAP},
        {"filter": CHEAP},
    ],
)
def test_a_file_with_a_restriction_that_is_none_is_refused(tmp_path: Path, damage: dict[str, object]) -> None:
    import orjson

    path = tmp_path / "keys.json"
    key_file.add(path, mint(name="first", scopes=("read",))[0])
    (record,) = orjson.loads(path.read_bytes())
    path.write_bytes(orjson.dumps([record | damage]))
    with pytest.raises(KeyFileError):
        key_file.read(path)


@pytest.mark.parametrize(
    "path",
    [
        "/items?k=200",
        "/search?q=*&k=200",
        "/recommend?user=ada&k=200&sort_by=price:desc",
        "/search?q=alpina&k=200&sort_by=price",
    ],
)
async def test_counts_orders_and_shelves_hold_nothing_but_its_items(key: Mint, shop: Shop, path: str) -> None:
    """Nor do they tell of a value, a number or an item that only others have."""
    headers = key("read", filter_by=CHEAP)
    body = (await asked(shop, headers, "GET", f"{path}&facets=price,season,title&max_facet_values=100")).json()
    assert {item["id"] for item in body["items"]} == set(MINE)
    assert body["total"] == len(MINE)
    assert body["facetDistribution"]["season"] == {"summer": len(MINE)}
    assert {float(price) for price in body["facetDistribution"]["price"]} == {
        float(place) for place in range(10) if place not in UNAVAILABLE
    }
    assert body["facetStats"]["price"]["max"] == 9
    widened = "filter=price > 5 and price > 0&disjunctive_facets=true"  # its own conditions may be left out, not these
    body = (await asked(shop, headers, "GET", f"{path}&facets=price&{widened}")).json()
    assert body["facetStats"]["price"] == {"min": 0, "max": 9, "avg": 40 / 9, "sum": 40}
    assert body["total"] == 4


@pytest.mark.parametrize(
    "path", ["/search?q=title", "/search?q=*", "/recommend?user=ada", "/items?", "/items/item-4/similar?"]
)
async def test_a_pin_shows_nothing_outside_of_the_part_of_a_key(key: Mint, shop: Shop, path: str) -> None:
    """Nor does it say whether there is such an item."""
    headers = key("read", filter_by=CHEAP)
    response = await asked(shop, headers, "GET", f"{path}&k=50&pinned_hits={THEIRS}:1,{MINE[2]}:2,nobody:3")
    assert response.status_code == 200, response.text
    body = response.json()
    ids = [item["id"] for item in body["items"]]
    assert ids[1] == MINE[2]
    assert set(ids) <= set(MINE)
    assert (body["pinned"], body["pins_missing"]) == ([MINE[2]], [THEIRS, "nobody"])


@pytest.mark.parametrize(
    "path", ["/search?q=title", "/search?q=*", "/recommend?user=ada", "/items?", "/items/item-4/similar?"]
)
async def test_an_override_shows_nothing_outside_of_the_part_of_a_key(key: Mint, shop: Shop, path: str) -> None:
    """Nor does an answer say that it would; and such a key may not look at overrides."""
    headers, admin = key("read", filter_by=CHEAP), key("admin")
    wanted = {
        "rule": {"tags": ["sale"]},
        "includes": [{"id": THEIRS, "position": 1}, {"id": MINE[2], "position": 2}, {"id": "nobody", "position": 3}],
        "filter_by": "price >= 0 or price < 1000",
        "boost": [{"condition": "price >= 10", "factor": 100}],
    }
    response = await asked(shop, admin, "PUT", "/overrides/sale", wanted)
    assert response.status_code == 200, response.text
    assert THEIRS in (await asked(shop, key("read"), "GET", f"{path}&k=50&override_tags=sale")).text
    response = await asked(shop, headers, "GET", f"{path}&k=50&override_tags=sale&facets=price")
    assert response.status_code == 200, response.text
    body = response.json()
    ids = [item["id"] for item in body["items"]]
    assert ids[1] == MINE[2]
    assert set(ids) <= set(MINE)
    assert (body["overrides"], body["pinned"], body["pins_missing"]) == (["sale"], [MINE[2]], [])
    assert THEIRS not in response.text
    assert body["facetStats"]["price"]["max"] == 9
    for lacking in ("/overrides", "/overrides/sale"):
        assert_problem(await asked(shop, headers, "GET", lacking), 403, "scope_missing")
