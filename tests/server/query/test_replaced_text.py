"""What overrides make of what was typed: the answer is that of the other text."""

from typing import Any

import pytest

from catalog.priors.words import without_words, words_in_order
from tests.server.query.test_overrides import pages, put
from tests.support.facet_shop import stock
from tests.support.http_shop import Shop

SAME = ("items", "fit", "facetDistribution", "total", "understood")


@pytest.mark.parametrize(
    ("text", "words", "left"),
    [
        ("red tent", "red", "tent"),
        ("a big, RED  Tent!", "red tent", "a big,"),
        ("tent red tent", "tent", "red"),
        ("tent tent tent", "tent tent", "tent"),
        ("red tents", "tent", None),
        ("tent red", "red tent", None),
        ("t-shirt blue", "t shirt", "blue"),
        ("60m rope", "60 m", "rope"),
        ("Zelt für 2", "FÜR", "Zelt 2"),
        ("tent", "tent", ""),
        ("", "tent", None),
    ],
)
def test_words_are_taken_out_where_they_stand_one_behind_the_other(text: str, words: str, left: str | None) -> None:
    assert without_words(text, words_in_order(words)) == left


async def answers_as(shop: Shop, typed: str, other: str, **asked: Any) -> dict[str, Any]:
    """The answer to a search, which has to be that of another without overrides, on all pages."""
    asked = {"k": 5, "facets": "brand", "guidance": False, **asked}
    body: dict[str, Any] = (await shop.get("/search", q=typed, **asked)).json()
    expected = (await shop.get("/search", q=other, enable_overrides=False, **asked)).json()
    for item in body["items"] if other == "*" else ():
        assert not item.pop("matched"), "what has no words has no item"
    assert {name: body.get(name) for name in SAME} == {name: expected.get(name) for name in SAME}, (typed, other)
    plain = {name: value for name, value in asked.items() if name != "facets"}
    assert await pages(shop, "/search", q=typed, **plain) == await pages(
        shop, "/search", q=other, enable_overrides=False, **plain
    )
    return body


@pytest.mark.parametrize("other", ["warm lantern", "lanternn", "lantern under 40", "lamp"])
async def test_another_text_is_searched_in_its_place(shop: Shop, other: str) -> None:
    """It is read as any text is: with its misspellings, its prices and its synonyms."""
    await stock(shop)
    await shop.client.put("/synonyms/lamps", json={"synonyms": ["lamp", "lantern"]})
    await put(shop, "torches", rule={"query": "torch"}, replace_query=other)
    body = await answers_as(shop, "Torch", other)
    assert (body["overrides"], body["replaced_query"]) == (["torches"], other)
    guided = (await shop.get("/search", q="torch", explain=True)).json()
    plain = (await shop.get("/search", q=other, explain=True, enable_overrides=False)).json()
    assert guided["items"] == plain["items"], "their words and reasons are those of the other text too"


async def test_a_typed_price_holds_unless_the_other_text_has_one(shop: Shop) -> None:
    await stock(shop)
    await put(shop, "torches", rule={"query": "torch"}, replace_query="lantern")
    typed = (await shop.get("/search", q="torch under 20", k=200)).json()
    assert typed["replaced_query"] == "lantern"
    assert typed["understood"]["filter"] == "price <= 20"
    expected = await shop.ids("/search", q="lantern", filter="price <= 20", enable_overrides=False, k=200)
    assert [item["id"] for item in typed["items"]] == expected
    await put(shop, "torches", rule={"query": "torch"}, replace_query="lantern under 40")
    await answers_as(shop, "torch under 20", "lantern under 40")


@pytest.mark.parametrize(
    ("typed", "match", "other"),
    [
        ("cheap tent", "contains", "tent"),
        ("cheap tent under 40", "contains", "tent under 40"),
        ("warm cheap tent cheap", "contains", "warm tent"),
        ("Cheap", "exact", "*"),
    ],
)
async def test_words_of_a_rule_are_not_searched(shop: Shop, typed: str, match: str, other: str) -> None:
    await stock(shop)
    await put(
        shop, "cheap", rule={"query": "cheap", "match": match}, remove_matched_tokens=True, filter_by="price < 30"
    )
    body = await answers_as(shop, typed, other, filter="price < 30")
    assert body["overrides"] == ["cheap"]


async def test_where_nothing_is_left_everything_comes_that_the_price_allows(shop: Shop) -> None:
    await stock(shop)
    await put(shop, "all", rule={"query": "tent"}, remove_matched_tokens=True)
    body = (await shop.get("/search", q="tent under 20", k=200)).json()
    assert (body["replaced_query"], body["understood"]["filter"]) == ("", "price <= 20")
    assert [item["id"] for item in body["items"]] == await shop.ids("/items", filter="price <= 20", k=200)
    await put(shop, "all", rule={"query": "tent"}, replace_query=" * ")
    assert await pages(shop, "/search", q="tent", k=7) == await pages(shop, "/items", k=7)
    scored = (await shop.get("/search", q="tent", min_score=-50)).json()
    assert "replaced_query" not in scored, "a list of everything has no scores"
    assert scored["items"][0]["score"] != 0


async def test_words_that_stand_in_the_corrected_text_alone_are_taken_out_of_it(shop: Shop) -> None:
    await stock(shop)
    await put(shop, "lights", rule={"query": "lantern", "match": "contains"}, remove_matched_tokens=True)
    assert (await answers_as(shop, "warm lanternn", "warm"))["replaced_query"] == "warm"
    priced = (await shop.get("/search", q="warm lanternn under 40", k=200)).json()
    assert (priced["replaced_query"], priced["understood"]["filter"]) == ("warm", "price <= 40")
    expected = await shop.ids("/search", q="warm", filter="price <= 40", enable_overrides=False, k=200)
    assert [item["id"] for item in priced["items"]] == expected


async def test_of_several_the_first_replaces_and_one_may_be_the_last(shop: Shop) -> None:
    """Rules are met by what was typed, not by what another override has made of it."""
    await stock(shop)
    rule = {"query": "red tent", "match": "exact"}
    await put(shop, "b", rule=rule, replace_query="warm", excludes=["item-5"])
    await put(shop, "c", rule=rule, replace_query="lantern", excludes=["item-7"])
    await put(shop, "d", rule={"query": "tent", "match": "contains"}, remove_matched_tokens=True)
    await put(shop, "of the new text", rule={"query": "warm"}, excludes=["item-9"])
    body = (await shop.get("/search", q="red tent", k=200)).json()
    assert (body["overrides"], body["replaced_query"]) == (["b", "c", "d"], "warm")
    assert not {"item-5", "item-7"} & {item["id"] for item in body["items"]}
    await put(shop, "a", rule=rule, stop_processing=True, priority=-1)
    await put(shop, "bb", rule=rule, stop_processing=True, filter_by="price <= 40")
    body = (await shop.get("/search", q="red tent")).json()
    assert (body["overrides"], body["replaced_query"]) == (["b", "bb"], "warm")
    await put(shop, "a", rule=rule, stop_processing=True, priority=1)
    body = (await shop.get("/search", q="red tent")).json()
    assert (body["overrides"], "replaced_query" in body) == (["a"], False)


async def test_words_that_two_rules_share_are_taken_out_once(shop: Shop) -> None:
    await stock(shop)
    for name, query in (("a", "big red"), ("b", "red tent")):
        await put(shop, name, rule={"query": query, "match": "contains"}, remove_matched_tokens=True)
    body = (await shop.get("/search", q="warm big red tent")).json()
    assert (body["overrides"], body["replaced_query"]) == (["a", "b"], "warm tent")
