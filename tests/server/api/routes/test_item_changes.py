"""Items change over HTTP while the catalog serves."""

import asyncio
import dataclasses

import pytest

from server.auth.authorizer import Authorizer
from server.auth.keyring import Keyring
from server.auth.rate_limit import RateLimit, RateLimiter
from server.core.settings import Settings
from server.engine.protocol import Ranking, RankRequest
from server.serving.manager import DeploymentManager
from tests.support.http_shop import Shop
from tests.support.problems import assert_problem
from tests.support.small_shop import NAMES, UNAVAILABLE, RecordingEngine

TENT = {"id": "new/tent 1", "title": "A new tent", "price": 12.5, "season": "winter"}


async def everything(shop: Shop) -> set[str]:
    return set(await shop.ids("/search", q="tent", k=200))


async def test_a_new_item_can_be_found_and_filtered_when_it_is_acknowledged(shop: Shop) -> None:
    response = await shop.client.put("/items/new/tent 1", json=TENT)
    assert response.status_code == 200
    assert response.json()["inserted"] == ["new/tent 1"]
    assert response.json()["catalog_version"] == 1
    assert "new/tent 1" in await everything(shop)
    assert await shop.ids("/search", q="x", filter='season = "winter"') == ["new/tent 1"]
    assert (await shop.get("/items/new/tent 1")).json()["price"] == 12.5
    assert (await shop.get("/search", q="x")).json()["catalog_version"] == 1
    assert (await shop.get("/version")).json()["items"] == len(NAMES) + 1


async def test_a_patch_cannot_make_an_item_neither_available_nor_not(shop: Shop) -> None:
    await shop.client.patch("/items/item-9", json={"available": False})
    response = await shop.client.patch("/items/item-9", json={"available": None})
    assert "give true or false" in str(assert_problem(response, 422, "invalid_change")["detail"])
    assert (await shop.get("/items/item-9")).json()["available"] is False


async def test_a_deleted_item_is_gone_from_the_next_answer_on_but_not_from_histories(
    shop: Shop, engine: RecordingEngine
) -> None:
    await shop.saw("ada", "item-9", "item-10")
    await shop.ids("/recommend", user="ada")
    response = await shop.client.delete("/items/item-9")
    assert response.json()["deleted"] == ["item-9"]
    assert "item-9" not in await everything(shop)
    assert_problem(await shop.get("/items/item-9"), 404, "item_not_found")
    assert_problem(await shop.client.delete("/items/item-9"), 404, "item_not_found")
    await shop.ids("/recommend", user="ada")
    assert engine.requests[0].prompt == engine.requests[-1].prompt
    await shop.client.put("/items/item-9", json={"title": "back again"})
    assert "item-9" in await everything(shop)


async def test_many_items_at_once_all_or_none(shop: Shop) -> None:
    good = [{"id": f"new-{i}", "title": f"new {i}"} for i in range(2)]
    body = assert_problem(
        await shop.client.post("/items", json=[*good, {"id": "bad", "price": "cheap"}]), 422, "invalid_change"
    )
    assert "price" in str(body["detail"])
    assert "bad" in str(body["detail"])
    assert "new-0" not in await everything(shop)
    assert (await shop.client.post("/items", json=good)).json()["inserted"] == ["new-0", "new-1"]
    assert {"new-0", "new-1"} <= await everything(shop)


async def test_availability_and_price_change_in_place(shop: Shop) -> None:
    gone = NAMES[min(UNAVAILABLE)]
    record = (await shop.get("/items/" + gone)).json()
    assert (
        await shop.client.put("/items/" + gone, json=record | {"available": True, "price": 99.5})
    ).status_code == 200
    assert await shop.ids("/search", q="x", filter="price = 99.5") == [gone]


async def test_a_patch_changes_only_what_it_names(shop: Shop) -> None:
    before = (await shop.get("/items/item-9")).json()
    response = await shop.client.patch("/items/item-9", json={"price": 99.5, "season": "winter"})
    assert (response.json()["replaced"], response.json()["catalog_version"]) == (["item-9"], 1)
    after = (await shop.get("/items/item-9")).json()
    assert after == before | {"price": 99.5, "season": "winter"}
    assert await shop.ids("/search", q="x", filter='season = "winter" and price = 99.5') == ["item-9"]
    merged = await shop.client.patch(
        "/items/item-9", content=b'{"price":5}', headers={"content-type": "application/merge-patch+json"}
    )
    assert merged.status_code == 200
    assert (await shop.get("/items/item-9")).json() == after | {"price": 5.0}


async def test_a_patch_clears_what_it_gives_as_null(shop: Shop) -> None:
    before = (await shop.get("/items/item-9")).json()
    assert (await shop.client.patch("/items/item-9", json={"available": False, "price": 3})).status_code == 200
    cleared = await shop.client.patch("/items/item-9", json={"title": None, "price": None})
    assert cleared.status_code == 200
    assert (await shop.get("/items/item-9")).json() == before | {"title": None, "price": None, "available": False}


async def test_a_patch_of_nothing_leaves_the_item_as_it_is(shop: Shop) -> None:
    before = (await shop.get("/items/item-9")).json()
    for body in ({}, {"id": "item-9"}, {"item_id": "item-9"}):
        assert (await shop.client.patch("/items/item-9", json=body)).json()["replaced"] == ["item-9"]
    assert (await shop.get("/items/item-9")).json() == before


async def test_a_deleted_item_cannot_be_patched(shop: Shop) -> None:
    await shop.client.delete("/items/item-9")
    assert_problem(await shop.client.patch("/items/item-9", json={"price": 3}), 404, "item_not_found")


async def test_an_unknown_column_is_refused_with_the_nearest(shop: Shop) -> None:
    for response in (
        await shop.client.patch("/items/item-9", json={"pirce": 3}),
        await shop.client.put("/items/item-9", json={"pirce": 3}),
        await shop.client.post("/items", json=[{"id": "item-9", "pirce": 3}]),
    ):
        assert "pirce (did you mean price?)" in str(assert_problem(response, 422, "invalid_change")["detail"])


async def test_an_error_does_not_repeat_all_that_was_sent(shop: Shop) -> None:
    many = {f"column-{number}": 1 for number in range(5_000)} | {"x" * 300_000: 1}
    for body in (many, {"id": "y" * 300_000}, {"item_id": ["z"] * 50_000}):
        for method in ("PUT", "PATCH"):
            response = await shop.client.request(method, "/items/item-9", json=body)
            assert_problem(response, 422, "invalid_change")
            assert len(response.content) < 5_000
    response = await shop.client.post("/items", json=[{"id": {"z": "z" * 300_000}}])
    assert_problem(response, 422, "invalid_change")
    assert len(response.content) < 5_000


async def test_patches_at_once_are_all_applied(shop: Shop) -> None:
    responses = await asyncio.gather(
        shop.client.patch("/items/item-9", json={"price": 7}),
        shop.client.patch("/items/item-9", json={"title": "another title"}),
        shop.client.patch("/items/item-9", json={"season": "spring"}),
    )
    assert sorted(response.json()["catalog_version"] for response in responses) == [1, 2, 3]
    after = (await shop.get("/items/item-9")).json()
    assert (after["price"], after["title"], after["season"]) == (7.0, "another title", "spring")


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", "/items", {}, 422, "invalid_change"),
        ("POST", "/items", [], 422, "invalid_change"),
        ("POST", "/items", [{"id": str(i)} for i in range(1001)], 413, "too_many_items"),
        ("POST", "/items", [1], 422, "invalid_change"),
        ("POST", "/items", [{"title": "nameless"}], 422, "invalid_change"),
        ("POST", "/items", [{"id": "a", "item_id": "a"}], 422, "invalid_change"),
        ("POST", "/items", [{"id": "a", "colour": "red"}], 422, "invalid_change"),
        ("PUT", "/items/a", {"id": "b"}, 422, "invalid_change"),
        ("PUT", "/items/a", [], 422, "invalid_change"),
        ("PUT", "/items/%01", {}, 422, "invalid_request"),
        ("DELETE", "/items/nobody", None, 404, "item_not_found"),
        ("PATCH", "/items/nobody", {"price": 3}, 404, "item_not_found"),
        ("PATCH", "/items/item-9", [], 422, "invalid_change"),
        ("PATCH", "/items/item-9", {"id": "item-10"}, 422, "invalid_change"),
        ("PATCH", "/items/item-9", {"id": None}, 422, "invalid_change"),
        ("PATCH", "/items/item-9", {"colour": "red"}, 422, "invalid_change"),
        ("PATCH", "/items/item-9", {"price": "dear"}, 422, "invalid_change"),
        ("PATCH", "/items/item-9", {"price": -1}, 422, "invalid_change"),
        ("PATCH", "/items/%01", {}, 422, "invalid_request"),
    ],
)
async def test_what_cannot_be_done_is_refused_and_changes_nothing(
    shop: Shop, method: str, path: str, body: object, status: int, code: str
) -> None:
    assert_problem(await shop.client.request(method, path, json=body), status, code)
    assert (await shop.get("/version")).json()["catalog_version"] == 0


async def test_more_items_than_there_is_room_for_are_refused(shop: Shop) -> None:
    rows = [{"id": f"new-{i}"} for i in range(3)]  # 4 × 8 paths, 30 are taken
    assert_problem(await shop.client.post("/items", json=rows), 422, "invalid_change")


async def test_a_request_under_way_finishes_on_the_catalog_it_began_with(
    shop: Shop, engine: RecordingEngine, deployments: DeploymentManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranking, go_on = asyncio.Event(), asyncio.Event()
    rank = RecordingEngine.rank

    async def slow(self: RecordingEngine, request: RankRequest) -> Ranking:
        if request.k == 13:
            ranking.set()
            await go_on.wait()
        return await rank(self, request)

    monkeypatch.setattr(RecordingEngine, "rank", slow)
    before = deployments.router.current.catalog.searcher
    under_way = asyncio.create_task(shop.get("/search", q="tent", k=13, filter="price >= 0"))
    await ranking.wait()
    await shop.client.put("/items/aaa", json={"title": "shifts every leaf behind it"})
    await shop.client.delete("/items/item-9")
    after = deployments.router.current.catalog.searcher
    assert (before.installed, after.installed) == (0, 1)
    go_on.set()
    body = (await under_way).json()
    assert body["catalog_version"] == 0
    assert len(body["items"]) == 13
    for item in body["items"]:
        assert item["title"] == before.items.record(NAMES.index(item["id"]))["title"]
    await asyncio.sleep(0.01)
    with pytest.raises(Exception, match="index 0 is not installed"):
        await engine.rank(RankRequest([1], 1, 1, "r"))


async def test_changes_at_once_are_made_one_after_another(shop: Shop) -> None:
    responses = await asyncio.gather(
        shop.client.put("/items/a", json={}),
        shop.client.put("/items/b", json={}),
        *(shop.client.delete("/items/" + NAMES[i]) for i in range(6, 12)),
    )
    assert sorted(response.json()["catalog_version"] for response in responses) == list(range(1, 9))
    assert {"a", "b"} <= await everything(shop)
    assert not set(NAMES[6:12]) & await everything(shop)


async def test_nobody_changes_anything_unless_the_operator_allows_it(
    shop: Shop, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = shop.client._transport.app.state  # type: ignore[attr-defined]
    parts = state.parts
    authorizer = Authorizer(Keyring(None), RateLimiter(RateLimit()), open_read=False, open_admin=False)
    monkeypatch.setattr(state, "parts", dataclasses.replace(parts, authorizer=authorizer))
    for method, path in [
        ("POST", "/items"),
        ("PUT", "/items/a"),
        ("DELETE", "/items/item-9"),
        ("GET", "/admin/models"),
        ("POST", "/admin/models/rollback"),
        ("POST", "/admin/models/2025-11-21-a/activate"),
    ]:
        assert_problem(await shop.client.request(method, path), 403, "admin_closed")
    assert Settings(bundles=settings.bundles).open_admin is False
