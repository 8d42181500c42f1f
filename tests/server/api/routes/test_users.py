"""What a user did, a visitor who signs in, and a user who wants to be forgotten, over HTTP."""

from urllib.parse import quote

import pytest

from server.core.settings import Settings
from tests.support.http_shop import Shop
from tests.support.memory_history import MemoryHistory
from tests.support.problems import assert_problem

START = 1_700_000_000_000
HOSTILE = ["a/b", "a:b", "/a", "history", "a/history", "a/merge", "Ω", "a b", "100%", "a?b#c", "a+b"]


async def test_a_history_comes_newest_first_with_titles(shop: Shop) -> None:
    await shop.saw("ada", "item-9", "item-6", "rope:10m")
    body = (await shop.get("/users/ada/history", limit=2)).json()
    assert body["user"] == "ada"
    assert body["total"] == 3
    assert [(e["item_id"], e["title"], e["timestamp"]) for e in body["events"]] == [
        ("rope:10m", "Title 2", START + 2),
        ("item-6", None, START + 1),
    ]
    assert set(body["events"][0]) == {"item_id", "query", "type", "timestamp", "event_id", "value", "title"}


async def test_an_item_that_left_the_catalog_has_no_title(shop: Shop, history: MemoryHistory) -> None:
    await shop.client.put("/items/brief", json={"title": "soon gone"})
    await shop.saw("ada", "brief")
    await shop.client.delete("/items/brief")
    (event,) = (await shop.get("/users/ada/history")).json()["events"]
    assert event["title"] == "soon gone"  # a deleted item keeps its row, so that histories still render


async def test_somebody_unknown_has_an_empty_history(shop: Shop) -> None:
    body = (await shop.get("/users/nobody/history")).json()
    assert (body["events"], body["total"]) == ([], 0)


@pytest.mark.parametrize("limit", [0, 1_001, "many"])
async def test_a_limit_has_limits(shop: Shop, limit: object) -> None:
    assert_problem(await shop.get("/users/ada/history", limit=limit), 422, "invalid_request")
    assert_problem(await shop.get("/users/ada/history", colour="red"), 422, "invalid_request")


@pytest.mark.parametrize("user", ["a%0Ab", "%C2%9D", "%00", "%20", "%FF"])
async def test_an_id_that_is_none_is_refused_as_such(shop: Shop, user: str) -> None:
    assert_problem(await shop.get(f"/users/{user}/history"), 422, "invalid_request")
    assert_problem(await shop.client.post(f"/users/{user}/merge", json={"session": "s"}), 422, "invalid_request")
    assert_problem(await shop.client.delete(f"/users/{user}"), 422, "invalid_request")
    assert_problem(await shop.get(f"/items/{user}/similar"), 422, "invalid_request")
    assert_problem(await shop.client.put(f"/items/{user}", json={"title": "x"}), 422, "invalid_request")


@pytest.mark.parametrize("user", HOSTILE)
async def test_any_id_can_be_written_in_the_address(shop: Shop, user: str) -> None:
    await shop.saw(user, "item-9")
    await shop.saw("visit " + user, "item-10")
    address = f"/users/{quote(user, safe='')}"
    assert (await shop.get(f"{address}/history")).json()["user"] == user
    merged = await shop.client.post(f"{address}/merge", json={"session": "visit " + user})
    assert merged.json()["moved"] == 1
    assert [e["item_id"] for e in (await shop.get(f"{address}/history")).json()["events"]] == ["item-10", "item-9"]
    erased = await shop.client.delete(address)
    assert (erased.json()["user"], erased.json()["events_erased"]) == (user, 2)
    assert (await shop.get(f"{address}/history")).json()["total"] == 0


async def test_a_merged_session_changes_what_is_recommended(shop: Shop) -> None:
    stranger = await shop.ids("/recommend", user="ada", k=28)
    await shop.saw("visit", stranger[0])
    body = (await shop.client.post("/users/ada/merge", json={"session": "visit"})).json()
    assert (body["user"], body["session"], body["moved"]) == ("ada", "visit", 1)
    assert stranger[0] not in await shop.ids("/recommend", user="ada", k=28, exclude_seen="view")
    again = await shop.client.post("/users/ada/merge", json={"session": "visit"})
    assert again.json()["moved"] == 0
    await shop.client.delete("/users/ada")
    assert await shop.ids("/recommend", user="ada", k=28) == stranger


@pytest.mark.parametrize("body", [{}, [], "visit", {"session": ""}, {"session": 7.5}, {"session": "a", "more": 1}])
async def test_a_merge_names_one_session(shop: Shop, body: object) -> None:
    assert_problem(await shop.client.post("/users/ada/merge", json=body), 422, "invalid_request")


async def test_a_merge_that_cannot_be(shop: Shop) -> None:
    own = await shop.client.post("/users/ada/merge", json={"session": "ada"})
    assert "own id" in str(assert_problem(own, 422, "invalid_request")["detail"])
    await shop.client.post("/users/ada/merge", json={"session": "visit"})
    assert_problem(await shop.client.post("/users/bob/merge", json={"session": "visit"}), 409, "session_taken")
    assert_problem(await shop.client.post("/users/bob/merge", content=b"{"), 415, "unsupported_media_type")


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/users/ada/history"), ("POST", "/users/ada/merge"), ("DELETE", "/users/ada")]
)
async def test_without_redis_nothing_is_told_and_nothing_acknowledged(
    shop: Shop, history: MemoryHistory, method: str, path: str
) -> None:
    history.away = True
    body = {"session": "visit"} if method == "POST" else None
    response = await shop.client.request(method, path, json=body)
    assert_problem(response, 503, "history_unavailable")
    assert response.headers["retry-after"] == "1"


@pytest.mark.parametrize("user", ["%01", "x" * 257, "%FF"])
async def test_an_id_that_cannot_be(shop: Shop, settings: Settings, user: str) -> None:
    assert_problem(await shop.get(f"/users/{user}/history"), 422, "invalid_request")
    assert_problem(await shop.client.delete(f"/users/{user}"), 422, "invalid_request")
