"""Answers count what they say that they count, exactly."""

from typing import Any

import pytest

from tests.support.facet_shop import FILTERS, RECORDS, SHOWN, distribution, meeting, stock
from tests.support.http_shop import Shop
from tests.support.problems import assert_problem
from tests.support.small_shop import NAMES

COLUMNS = ("brand", "categories", "season")


@pytest.fixture(autouse=True)
async def stocked(shop: Shop) -> None:
    await stock(shop)


async def counted(shop: Shop, path: str, **asked: object) -> dict[str, Any]:
    response = await shop.get(path, **{name: value for name, value in asked.items() if value is not None})
    assert response.status_code == 200, response.text
    return response.json()


@pytest.mark.parametrize("disjunctive", ["false", "true"])
@pytest.mark.parametrize("expression", [None, *FILTERS])
async def test_recommendations_count_what_they_may_show(shop: Shop, expression: str | None, disjunctive: str) -> None:
    body = await counted(
        shop,
        "/recommend",
        user="ada",
        facets=",".join((*COLUMNS, "price")),
        filter=expression,
        disjunctive_facets=disjunctive,
        k=3,
    )
    allowed = meeting(expression)
    assert (body["total"], body["total_is"]) == (len(allowed), "allowed")
    for column in COLUMNS:
        items = meeting(expression, column if disjunctive == "true" else None)
        expected = distribution(items, column)
        assert list(body["facetDistribution"][column].items()) == list(expected.items())
        assert body["facetValues"][column] == len(expected)
    prices = [
        item["price"]
        for item in meeting(expression, "price" if disjunctive == "true" else None)
        if item["price"] is not None
    ]
    assert body["facetStats"]["price"] == {
        "min": min(prices),
        "max": max(prices),
        "avg": pytest.approx(sum(prices) / len(prices)),
        "sum": pytest.approx(sum(prices)),
    }
    assert {float(price) for price in body["facetDistribution"]["price"]} == set(prices)


async def test_what_was_seen_and_what_is_no_candidate_is_not_counted(shop: Shop) -> None:
    await shop.saw("ada", "item-9", "item-10", "item-11", "item-17")
    left = [item for item in SHOWN if item["id"] not in {"item-9", "item-10", "item-11"}]
    body = await counted(shop, "/recommend", user="ada", facets="brand", exclude_seen="true")
    assert (body["total"], body["facetDistribution"]["brand"]) == (len(left), distribution(left, "brand"))
    body = await counted(shop, "/recommend", user="ada", total="true", exclude_seen="false")
    assert body["total"] == len(SHOWN)
    assert "facetDistribution" not in body
    wanted = ["item-9", "item-12", "item-13", "item-17", "nothing"]
    asked = {"user": "ada", "candidates": wanted, "facets": ["brand"], "exclude_seen": ["view"]}
    body = (await shop.client.post("/recommend", json=asked)).json()
    assert body["total"] == len(body["items"]) == 2
    similar = await counted(shop, "/items/item-9/similar", facets="category")
    others = [item for item in SHOWN if item["id"] != "item-9"]
    assert similar["total"] == len(others)
    assert similar["facetDistribution"] == {"category": distribution(others, "categories")}


async def test_pages_of_one_answer_count_the_same(shop: Shop) -> None:
    first = await counted(shop, "/recommend", user="ada", k=5, total="true")
    later = await counted(shop, "/recommend", user="ada", k=5, facets="brand", cursor=first["next_cursor"])
    assert first["total"] == later["total"] == len(SHOWN)


@pytest.mark.parametrize("guidance", ["true", "false"])
@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("tent", ["tent"]),
        ("warm lantern", ["warm", "lantern"]),
        ("lantern tent", ["tent", "lantern"]),
        ("lanterns", ["lantern"]),
        ("alpina tent", ["alpina", "tent"]),
        ("tent under 30", ["tent"]),
        ("tnet", ["tent"]),
        ("lanter", ["lantern"]),
    ],
)
async def test_a_search_counts_what_has_its_words(shop: Shop, query: str, words: list[str], guidance: str) -> None:
    body = await counted(shop, "/search", q=query, facets="brand", guidance=guidance, filter='season = "summer"')
    expected = [item for item in SHOWN if item["season"] == "summer" and all(word in text(item) for word in words)]
    if "under" in query:
        expected = [item for item in expected if item["price"] is not None and item["price"] <= 30]
    assert expected
    assert (body["total"], body["total_is"]) == (len(expected), "matching")
    assert body["facetDistribution"]["brand"] == distribution(expected, "brand")


def text(item: dict[str, Any]) -> str:
    return " ".join([item["title"], item["brand"] or "", *(item["categories"] or [])]).lower()


async def test_where_no_item_has_all_words_those_with_some_are_counted(shop: Shop) -> None:
    body = await counted(shop, "/search", q="warm zebra banjo", facets="brand", correct="false")
    expected = [item for item in SHOWN if item["title"].startswith("Warm") or item["brand"] == "Zebra"]
    assert (body["total"], body["total_is"]) == (len(expected), "matching")
    everywhere = await counted(shop, "/search", q="warm tent", total="true")  # tents are a category too
    assert everywhere["total"] == sum(
        item["title"].startswith("Warm") and "Tents" in (item["categories"] or []) for item in SHOWN
    )


async def test_where_nothing_has_a_word_the_items_of_the_answer_are_counted(shop: Shop) -> None:
    body = await counted(shop, "/search", q="qqqqqq", facets="brand", k=4)
    assert (body["total"], body["total_is"]) == (4, "answer")
    assert body["facetDistribution"]["brand"] == distribution(
        [item for item in RECORDS if item["id"] in {found["id"] for found in body["items"]}], "brand"
    )


async def test_the_id_of_an_item_is_that_item(shop: Shop) -> None:
    body = await counted(shop, "/search", q="item-9", total="true")
    assert body["items"][0]["id"] == "item-9"
    assert body["total_is"] == "matching"
    assert body["total"] == 1


async def test_all_facets_and_few_values(shop: Shop) -> None:
    body = await counted(shop, "/recommend", user="ada", facets="*", max_facet_values=2)
    assert set(body["facetDistribution"]) == {"brand", "categories", "price", "available", "season"}
    assert body["facetDistribution"]["brand"] == distribution(SHOWN, "brand", 2)
    assert body["facetDistribution"]["available"] == {"true": len(SHOWN)}
    assert body["facetDistribution"]["price"] == {}  # too many to tell
    assert body["facetValues"]["price"] == len({item["price"] for item in SHOWN} - {None})
    assert set(body["facetStats"]) == {"price"}


async def test_a_change_shows_in_the_next_answer(shop: Shop) -> None:
    before = await counted(shop, "/recommend", user="ada", facets="brand,season")
    await shop.client.patch("/items/item-9", json={"brand": "Zebra", "price": 1})
    assert (await shop.client.delete("/items/item-12")).status_code == 200
    new = {"title": "New", "brand": "Only", "season": "autumn"}
    assert (await shop.client.put("/items/new", json=new)).status_code == 200
    after = await counted(shop, "/recommend", user="ada", facets="brand,season")
    assert after["total"] == before["total"]
    items = [item | ({"brand": "Zebra"} if item["id"] == "item-9" else {}) for item in SHOWN if item["id"] != "item-12"]
    assert after["facetDistribution"] == {name: distribution([*items, new], name) for name in ("brand", "season")}


async def test_a_batch_counts_too(shop: Shop) -> None:
    lines = [
        {"kind": "recommend", "user": "ada", "facets": ["brand"]},
        {"kind": "similar", "item": NAMES[9], "total": True},
        {"kind": "search", "q": "tent", "facets": "brand,season"},
        {"kind": "search", "q": "tent", "facets": ["bran"]},
    ]
    answers = [line async for line in _lines(shop, lines)]
    assert answers[0]["answer"]["facetDistribution"]["brand"] == distribution(SHOWN, "brand")
    assert answers[1]["answer"]["total"] == len(SHOWN) - 1
    assert set(answers[2]["answer"]["facetDistribution"]) == {"brand", "season"}
    assert "did you mean 'brand'" in answers[3]["problem"]["detail"]


async def _lines(shop: Shop, lines: list[dict[str, Any]]) -> Any:
    import orjson

    response = await shop.client.post("/batch?ordered=true", json=lines)
    for line in response.text.splitlines():
        yield orjson.loads(line)


@pytest.mark.parametrize(
    ("asked", "field", "hint"),
    [
        ({"facets": "brand,brnd"}, "facets.1", "did you mean 'brand'"),
        ({"facets": "brand,,season"}, "facets.1", "no column is named ''"),
        ({"facets": "x" * 3_000}, "facets.0", "items have brand, categories"),
        ({"facets": "brand", "max_facet_values": 101}, "max_facet_values", "100"),
        ({"facets": "brand", "max_facet_values": 0}, "max_facet_values", "1"),
        ({"facets": ",".join(["brand"] * 201)}, "facets", "200"),
        ({"facet": "brand"}, "facet", "facets"),
        ({"facets": "brand", "disjunctive_facets": "maybe"}, "disjunctive_facets", "boolean"),
    ],
)
async def test_what_cannot_be_counted_is_named(shop: Shop, asked: dict[str, object], field: str, hint: str) -> None:
    response = await shop.get("/recommend", user="ada", **asked)
    problem = assert_problem(response, 422, "invalid_request")
    assert problem["errors"][0]["field"] == field
    assert hint in problem["detail"]


@pytest.mark.parametrize("path", ["/recommend?user=ada", "/search?q=tent"])
async def test_a_bad_filter_is_told_as_without_facets(shop: Shop, path: str) -> None:
    """With its place, whichever of filter and facets is evaluated first."""
    for expression in ("brnd = 1", "price < 3 and brand < 1", "brand =", "categories > 3"):
        plain = await shop.get(f"{path}&filter={expression}")
        for more in ("facets=brand&disjunctive_facets=true", "sort_by=price", "total=true"):
            counted = await shop.get(f"{path}&filter={expression}&{more}")
            assert_problem(counted, 422, "invalid_filter")
            assert {**plain.json(), "request_id": ""} == {**counted.json(), "request_id": ""}
