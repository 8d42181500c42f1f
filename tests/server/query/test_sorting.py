"""Answers in the order of columns, page by page, and browsing."""

from collections.abc import Callable
from typing import Any

import pytest

from server.query.listing import sorting
from tests.support.facet_shop import FILTERS, SHOWN, Record, distribution, meeting, stock
from tests.support.http_shop import Shop
from tests.support.problems import assert_problem
from tests.support.small_shop import RecordingEngine

BY_PRICE = "price:asc"
ORDERS: dict[str, list[tuple[str, bool]]] = {
    "price:asc": [("price", False)],
    "price:desc,brand": [("price", True), ("brand", False)],
    "season:desc,price:asc,brand:desc": [("season", True), ("price", False), ("brand", True)],
    "brand": [("brand", False)],
    "available:desc": [("available", True)],
    "brand:asc,_relevance:desc,price:asc": [("brand", False)],
}


@pytest.fixture(autouse=True)
async def stocked(shop: Shop) -> None:
    await stock(shop)


async def pages(shop: Shop, path: str, **asked: object) -> list[str]:
    """The ids of all pages."""
    ids: list[str] = []
    cursor: dict[str, object] = {}
    while True:
        response = await shop.get(path, **(asked | cursor))
        assert response.status_code == 200, response.text
        body = response.json()
        ids += [item["id"] for item in body["items"]]
        if body["next_cursor"] is None:
            return ids
        cursor = {"cursor": body["next_cursor"]}


def in_order(items: list[Record], keys: list[tuple[str, bool]]) -> list[str]:
    """By one column after the other, the last first; nothing comes last; what is equal stays."""
    for column, descending in reversed(keys):
        some = sorted((item for item in items if item[column] is not None), key=lambda i: i[column], reverse=descending)
        items = some + [item for item in items if item[column] is None]
    return [item["id"] for item in items]


def records(ids: list[str], wanted: Callable[[Record], bool] = lambda _: True) -> list[Record]:
    by_id = {item["id"]: item for item in SHOWN}
    return [by_id[item_id] for item_id in ids if wanted(by_id[item_id])]


@pytest.mark.parametrize("sort_by", ORDERS)
@pytest.mark.parametrize("expression", [None, *FILTERS])
async def test_recommendations_are_sorted_with_relevance_for_what_is_equal(
    shop: Shop, sort_by: str, expression: str | None
) -> None:
    limit = {} if expression is None else {"filter": expression}
    ranked = await shop.ids("/recommend", user="ada", k=200, **limit)
    expected = in_order(records(ranked), ORDERS[sort_by])
    assert await pages(shop, "/recommend", user="ada", sort_by=sort_by, k=200, **limit) == expected
    assert await pages(shop, "/recommend", user="ada", sort_by=sort_by, k=4, **limit) == expected


@pytest.mark.parametrize("guidance", ["true", "false"])
async def test_a_sorted_search_shows_what_matches_and_nothing_else(shop: Shop, guidance: str) -> None:
    ranked = await shop.ids("/search", q="lantern", k=200, guidance=guidance)
    expected = in_order(records(ranked, lambda item: "lantern" in item["title"]), ORDERS["price:asc"])
    assert await pages(shop, "/search", q="lantern", sort_by=BY_PRICE, k=3, guidance=guidance) == expected
    body = (await shop.get("/search", q="lantern", sort_by=BY_PRICE, facets="brand", guidance=guidance)).json()
    assert (body["total"], body["total_is"]) == (len(expected), "matching")
    assert all(isinstance(item["score"], float) and item["reason"]["text"] for item in body["items"])


async def test_where_nothing_matches_the_answer_itself_is_sorted(shop: Shop) -> None:
    plain = await shop.ids("/search", q="qqqqqq", k=5)
    body = (await shop.get("/search", q="qqqqqq", k=5, sort_by=BY_PRICE)).json()
    assert [item["id"] for item in body["items"]] == in_order(records(plain), ORDERS["price:asc"])
    assert (body["total"], body["total_is"]) == (5, "answer")


@pytest.mark.parametrize("first", ["_relevance", "_relevance:desc,price:asc"])
async def test_relevance_first_is_the_order_without(shop: Shop, first: str) -> None:
    assert await shop.ids("/search", q="tent", sort_by=first) == await shop.ids("/search", q="tent")


async def test_what_was_seen_and_what_is_no_candidate_stays_away(shop: Shop) -> None:
    await shop.saw("ada", "item-9", "item-10", "item-11")
    ids = await pages(shop, "/recommend", user="ada", sort_by=BY_PRICE, k=6, exclude_seen=True)
    assert set(ids) == {item["id"] for item in SHOWN} - {"item-9", "item-10", "item-11"}
    wanted = {
        "user": "ada",
        "candidates": ["item-9", "item-12", "item-13", "item-17"],
        "sort_by": "price:desc",
        "exclude_seen": True,
    }
    body = (await shop.client.post("/recommend", json=wanted)).json()
    assert [item["id"] for item in body["items"]] == in_order(records(["item-12", "item-13"]), [("price", True)])
    similar = await pages(shop, "/items/item-9/similar", sort_by="brand:desc", k=7)
    assert len(similar) == len(set(similar)) == len(SHOWN) - 1
    assert in_order(records(similar), [("brand", True)]) == similar


async def test_more_equal_items_than_the_engine_ranks_at_once(
    shop: Shop, engine: RecordingEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The best of those that fill the page are found first."""
    ranked = await shop.ids("/recommend", user="ada", k=200)
    service = shop.client._transport.app.state.parts.service  # type: ignore[attr-defined]
    monkeypatch.setattr(service, "_max_width", 5)
    service._beam_width = 4
    engine.requests.clear()
    assert await pages(shop, "/recommend", user="ada", sort_by="season:desc", k=3) == in_order(
        records(ranked), [("season", True)]
    )
    assert max(request.width for request in engine.requests) == 5
    assert any(request.k == 3 and len(request.allow or ()) > 10 for request in engine.requests)


async def test_of_very_many_equal_items_the_most_popular_are_ranked(
    shop: Shop, engine: RecordingEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = shop.client._transport.app.state.parts.service  # type: ignore[attr-defined]
    monkeypatch.setattr(service, "_max_width", 5)
    service._beam_width = 4
    monkeypatch.setattr(sorting, "MAX_TIED", 7)
    engine.requests.clear()
    ids = await pages(shop, "/recommend", user="ada", sort_by="season:desc", k=3)
    assert max(len(request.allow or ()) for request in engine.requests) == 7
    assert in_order(records(ids), [("season", True)]) == ids
    assert len(ids) == len(set(ids)) == len(SHOWN)


async def test_a_change_between_pages_repeats_nothing(shop: Shop) -> None:
    first = (await shop.get("/items", sort_by=BY_PRICE, k=5)).json()
    shown = [item["id"] for item in first["items"]]
    for item_id in shown[:2]:
        assert (await shop.client.patch(f"/items/{item_id}", json={"price": 10_000})).status_code == 200
    rest = await pages(shop, "/items", sort_by=BY_PRICE, k=5, cursor=first["next_cursor"])
    assert sorted(shown + rest) == sorted(item["id"] for item in SHOWN)


async def test_a_cursor_is_of_its_order(shop: Shop) -> None:
    first = (await shop.get("/items", sort_by=BY_PRICE, k=5)).json()
    for path in ("/items", "/items?sort_by=price:desc", "/recommend?user=ada&sort_by=price:asc"):
        joined = f"{path}{'&' if '?' in path else '?'}cursor={first['next_cursor']}"
        assert_problem(await shop.get(joined), 422, "foreign_cursor")


@pytest.mark.parametrize("personal", [{}, {"user": "ada", "exclude_seen": "true"}])
@pytest.mark.parametrize(("path", "asked"), [("/items", {}), ("/search", {"q": "*"}), ("/search", {"q": " * "})])
async def test_browsing_shows_everything_that_is_allowed_and_asks_no_engine(
    shop: Shop, engine: RecordingEngine, path: str, asked: dict[str, str], personal: dict[str, str]
) -> None:
    asked |= personal if asked else {}
    if "user" in asked:
        await shop.saw("ada", "item-9")
    allowed = [item for item in SHOWN if "user" not in asked or item["id"] != "item-9"]
    engine.requests.clear()
    for expression in FILTERS:
        of_filter = meeting(expression, among=allowed)
        ids = await pages(shop, path, **asked, filter=expression, sort_by="price:desc,id:asc", k=4, facets="brand")
        assert ids == in_order(of_filter, [("price", True), ("id", False)])
        body = (await shop.get(path, **asked, filter=expression, facets="brand")).json()
        assert (body["total"], body["total_is"]) == (len(of_filter), "allowed")
        assert body["facetDistribution"]["brand"] == distribution(of_filter, "brand")
    assert set(await pages(shop, path, **asked, k=7)) == {item["id"] for item in allowed}
    assert engine.requests == []


async def test_a_shelf_has_the_most_popular_first_and_then_by_id(shop: Shop) -> None:
    body = (await shop.get("/items", limit=200)).json()
    found = [(-item["score"], item["id"]) for item in body["items"]]
    assert found == sorted(found)
    assert len(found) == len(SHOWN) == body["total"]
    one = body["items"][0]
    assert one["relevance"] is None
    assert one["reason"]["source"] == "popularity"
    assert one["season"] in {"summer", "winter"}
    assert {"corrected_query", "fit"}.isdisjoint(body)


async def test_a_shelf_is_in_batches_too(shop: Shop) -> None:
    lines = [{"kind": "search", "q": "*", "sort_by": "price:desc,id", "k": 3, "fields": ["price"]}]
    answer: dict[str, Any] = (await shop.client.post("/batch", json=lines)).json()["answer"]
    assert [item["id"] for item in answer["items"]] == in_order(SHOWN, [("price", True), ("id", False)])[:3]


@pytest.mark.parametrize(
    ("path", "field", "hint"),
    [
        ("/items?sort_by=prise", "sort_by", "character 1: no column is named 'prise': did you mean 'price'"),
        ("/recommend?user=ada&sort_by=price,categories", "sort_by", "character 7: 'categories' holds lists"),
        ("/search?q=tent&sort_by=price:up", "sort_by", "character 7"),
        ("/search?q=*&sort_by=a,b,c,d", "sort_by", "character 1"),
        ("/search?q=tent&sort_by=price&min_score=1", "min_score", "order of relevance only"),
        ("/search?q=*&min_score=1", "min_score", "a search for words only"),
        ("/items?min_score=1", "min_score", "not a name that is known here"),
        ("/items?user=ada", "user", "not a name that is known here"),
        ("/items?sort=price", "sort", "did you mean sort_by"),
        (f"/items?sort_by={'x' * 1_001}", "sort_by", "1000"),
    ],
)
async def test_what_cannot_be_sorted_or_browsed_is_named(shop: Shop, path: str, field: str, hint: str) -> None:
    problem = assert_problem(await shop.get(path), 422, "invalid_request")
    assert problem["errors"][0]["field"] == field
    assert hint in problem["detail"]


async def test_a_shelf_with_a_bad_filter_or_cursor(shop: Shop) -> None:
    assert_problem(await shop.get("/items?filter=brnd = 1"), 422, "invalid_filter")
    assert_problem(await shop.get("/items?cursor=xx"), 422, "invalid_cursor")
