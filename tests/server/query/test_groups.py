"""Groups and caps: exactly the best items of which no value has too many, whatever the pages and the order."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from server.query.listing import variety
from tests.server.query.test_sorting import pages, records
from tests.support.facet_shop import SHOWN, Record, stock
from tests.support.http_shop import Shop
from tests.support.problems import assert_problem
from tests.support.small_shop import RecordingEngine

CAPS: list[tuple[dict[str, object], dict[str, int]]] = [
    ({"group_by": "brand"}, {"brand": 1}),
    ({"group_by": "season", "group_limit": 3}, {"season": 3}),
    ({"group_by": "price", "group_limit": 2}, {"price": 2}),
    ({"group_by": "available", "group_limit": 10}, {"available": 10}),
    ({"max_per": "brand:3"}, {"brand": 3}),
    ({"max_per": "brand:2, season:3,price:1"}, {"brand": 2, "season": 3, "price": 1}),
    ({"group_by": "brand", "group_limit": 4, "max_per": "price:2,brand:3"}, {"price": 2, "brand": 3}),
]


@pytest.fixture(autouse=True)
async def stocked(shop: Shop) -> None:
    await stock(shop)


def capped(ids: list[str], limits: dict[str, int]) -> list[str]:
    """What one by one there is room for."""
    counts: Counter[tuple[str, Any]] = Counter()
    chosen = []
    for record in records(ids):
        values = [(column, record[column]) for column in limits if record[column] is not None]
        if all(counts[value] < limits[value[0]] for value in values):
            counts.update(values)
            chosen.append(record["id"])
    return chosen


QUESTIONS: list[tuple[str, dict[str, object]]] = [
    ("/search", {"q": "lantern"}),
    ("/search", {"q": "warm tent", "guidance": "false"}),
    ("/recommend", {"user": "ada"}),
    ("/recommend", {"user": "ada", "filter": 'brand in ("Zebra", "Alpina") and price < 30'}),
    ("/items/item-9/similar", {"guidance": "false"}),  # the fake engine's scores depend on what is left to rank
    ("/items", {}),
    ("/items", {"sort_by": "price:desc,id"}),
    ("/search", {"q": "*", "filter": 'brand = "Zebra"'}),
    ("/recommend", {"user": "ada", "sort_by": "season:desc,price"}),
    ("/search", {"q": "lantern", "sort_by": "price:asc"}),
]


@pytest.mark.parametrize(("path", "question"), QUESTIONS)
async def test_pages_show_exactly_the_best_of_which_no_value_has_too_many(
    shop: Shop, path: str, question: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the order without caps, also where those that are full are a filter of their own."""
    shop.client._transport.app.state.parts.service._beam_width = 50  # type: ignore[attr-defined]
    ranked = await pages(shop, path, **question, k=200)
    page_by_page = await pages(shop, path, **question, k=4)
    for asked, limits in CAPS:
        monkeypatch.setattr(variety, "MAX_LISTED", 2_000)
        assert await shop.ids(path, **question, **asked, k=200) == capped(ranked, limits)
        expected = capped(page_by_page, limits)
        assert await pages(shop, path, **question, **asked, k=4) == expected
        monkeypatch.setattr(variety, "MAX_LISTED", -1)
        assert await pages(shop, path, **question, **asked, k=4) == expected


async def test_a_narrow_search_finds_every_group(
    shop: Shop, engine: RecordingEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as there are, though the best items are all of one."""
    service = shop.client._transport.app.state.parts.service  # type: ignore[attr-defined]
    monkeypatch.setattr(service, "_max_width", 6)
    service._beam_width = 5
    engine.requests.clear()
    prices = {item["price"] for item in SHOWN if item["price"] is not None}
    priced = {"filter": "price > 0", "guidance": "false"}
    ids = await shop.ids("/recommend", user="ada", group_by="price", k=5, **priced)
    assert len({item["price"] for item in records(ids)}) == len(ids) == 5
    assert len(engine.requests) > 1
    ids = await pages(shop, "/recommend", user="ada", group_by="price", k=4, **priced)
    assert {item["price"] for item in records(ids)} == prices
    assert len(ids) == len(prices)


async def test_groups_say_their_value_their_size_and_their_items(shop: Shop) -> None:
    await shop.saw("ada", "item-9")
    for asked in ({"user": "ada"}, {"user": "ada", "filter": "price < 30"}):
        body = (
            await shop.get("/recommend", **asked, exclude_seen="true", group_by="brand", group_limit=2, k=200)
        ).json()
        of_filter: list[Record] = [item for item in SHOWN if item["id"] != "item-9"]
        if "filter" in asked:
            of_filter = [item for item in of_filter if item["price"] is not None and item["price"] < 30]
        assert [item["id"] for item in body["items"]] == [
            item["id"] for item in body["items"] if any(item["id"] in group["items"] for group in body["groups"])
        ]
        for group in body["groups"]:
            of_value = [item for item in of_filter if item["brand"] == group["value"]]
            assert group["size"] == (1 if group["value"] is None else len(of_value))
            assert set(group["items"]) <= {item["id"] for item in of_value}
            assert len(group["items"]) == min(group["size"], 2)
        firsts = [group["items"][0] for group in body["groups"]]
        assert firsts == [item["id"] for item in body["items"] if item["id"] in firsts]
        assert [group["value"] for group in body["groups"]].count(None) == sum(i["brand"] is None for i in of_filter)
    assert "groups" not in (await shop.get("/recommend", user="ada", max_per="brand:1")).json()


async def test_candidates_and_least_scores_hold(shop: Shop) -> None:
    candidates = [item["id"] for item in SHOWN[:9]]
    ranked = (await shop.client.post("/recommend", json={"user": "ada", "candidates": candidates})).json()["items"]
    least = ranked[6]["score"] - 1e-6
    asked = {"user": "ada", "candidates": candidates, "min_score": least, "max_per": "brand:1"}
    body = (await shop.client.post("/recommend", json=asked)).json()
    expected = capped([item["id"] for item in ranked if item["score"] >= least], {"brand": 1})
    assert [item["id"] for item in body["items"]] == expected


async def test_a_batch_groups_too(shop: Shop) -> None:
    lines = [
        {"kind": "browse", "group_by": "brand", "k": 200},
        {"kind": "similar", "item": "item-9", "max_per": "brand:1"},
    ]
    response = await shop.client.post("/batch?ordered=true", json=lines)
    assert '"groups":[' in response.text
    assert "problem" not in response.text


async def test_a_cursor_is_of_its_groups(shop: Shop) -> None:
    first = (await shop.get("/items", group_by="price", k=2)).json()
    for asked in ({}, {"group_by": "brand"}, {"group_by": "price", "group_limit": 2}, {"max_per": "price:1"}):
        assert_problem(await shop.get("/items", **asked, k=2, cursor=first["next_cursor"]), 422, "foreign_cursor")


async def test_no_filter_stays_in_the_engine(
    shop: Shop, engine: RecordingEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(variety, "MAX_LISTED", -1)
    made, gone = [], []
    install, retire = engine.install_filter, engine.retire_filter

    async def installing(index_id: int, filter_id: int, member_N: NDArray[np.bool_]) -> None:
        made.append(filter_id)
        await install(index_id, filter_id, member_N)

    async def retiring(index_id: int, filter_id: int) -> None:
        gone.append(filter_id)
        await retire(index_id, filter_id)

    await shop.ids("/recommend", user="ada")
    monkeypatch.setattr(engine, "install_filter", installing)
    monkeypatch.setattr(engine, "retire_filter", retiring)
    await pages(shop, "/recommend", user="ada", group_by="price", k=2)
    assert made == gone
    assert len(made) > 0


@pytest.mark.parametrize(
    ("path", "field", "hint"),
    [
        ("/items?group_by=brnd", "group_by", "no column is named 'brnd': did you mean 'brand'"),
        ("/recommend?user=ada&group_by=categories", "group_by", "'categories' holds lists"),
        ("/search?q=tent&max_per=prise:2", "max_per", "did you mean 'price'"),
        ("/search?q=tent&max_per=brand", "max_per", "as in brand:3"),
        ("/search?q=tent&max_per=brand:0", "max_per", "as in brand:3"),
        ("/search?q=tent&max_per=brand:²", "max_per", "as in brand:3"),
        ("/search?q=tent&max_per=brand:1,", "max_per", "'' is no cap"),
        ("/items?max_per=brand:1,price:1,season:1,id:1", "max_per", "at most 3"),
        ("/items?group_by=brand&group_limit=0", "group_limit", "1"),
        ("/items?group_by=brand&group_limit=11", "group_limit", "10"),
        ("/items?groupby=brand", "groupby", "did you mean group_by"),
    ],
)
async def test_what_cannot_be_grouped_is_named(shop: Shop, path: str, field: str, hint: str) -> None:
    problem = assert_problem(await shop.get(path), 422, "invalid_request")
    assert problem["errors"][0]["field"] == field
    assert hint in problem["detail"]
