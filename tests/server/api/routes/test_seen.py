"""`exclude_seen` by type of event, and dislikes, which it does not touch."""

from itertools import combinations

import pytest

from catalog.data.events import EventType
from server.query.types import SEEN_TYPES
from tests.support.http_shop import Shop
from tests.support.memory_history import MemoryHistory
from tests.support.problems import assert_problem

START = 1_700_000_000_000
ITEM_OF = {kind: f"item-{9 + place}" for place, kind in enumerate(SEEN_TYPES)}


async def did(shop: Shop, *rows: tuple[str, str], user: str = "ada", at: int = START) -> None:
    events = [
        {"user_id": user, "item_id": item, "type": kind, "timestamp": at + place}
        for place, (item, kind) in enumerate(rows)
    ]
    assert (await shop.post(events)).json()["rejected"] == []


async def did_everything(shop: Shop) -> None:
    await did(shop, *((item, kind) for kind, item in ITEM_OF.items()))


async def left_out(shop: Shop, path: str = "/recommend", **asked: object) -> set[str]:
    """The types of the events whose items do not come."""
    found = await shop.ids(path, k=200, **({"user": "ada"} | asked))
    return {kind for kind, item in ITEM_OF.items() if item not in found}


async def test_recommendations_leave_out_what_was_chosen_and_searches_nothing(shop: Shop) -> None:
    await did_everything(shop)
    assert await left_out(shop) == {"cart", "purchase", "rating"}
    assert await left_out(shop, "/search", q="x") == set()


@pytest.mark.parametrize("types", [types for size in (1, 2, 5) for types in combinations(SEEN_TYPES, size)])
async def test_items_of_the_types_that_are_named_are_left_out(shop: Shop, types: tuple[str, ...]) -> None:
    await did_everything(shop)
    for asked in (",".join(types), f" {', '.join(types).upper()} ", [*types]):
        assert await left_out(shop, exclude_seen=asked) == set(types)
    assert await left_out(shop, "/search", q="x", exclude_seen=",".join(types)) == set(types)
    answer = await shop.client.post("/recommend", json={"user": "ada", "k": 200, "exclude_seen": list(types)})
    found = {item["id"] for item in answer.json()["items"]}
    assert {kind for kind, item in ITEM_OF.items() if item not in found} == set(types)


@pytest.mark.parametrize(
    ("asked", "types"), [("true", SEEN_TYPES), ("1", SEEN_TYPES), ("Yes", SEEN_TYPES), ("false", ()), ("off", ())]
)
async def test_true_is_everything_and_false_is_nothing(shop: Shop, asked: str, types: tuple[str, ...]) -> None:
    await did_everything(shop)
    assert await left_out(shop, exclude_seen=asked) == set(types)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("purchases", "did you mean purchase?"),
        ("impression", "'impression' is no type of event"),
        ("dislike", "'dislike' is no type of event"),
        ("true,cart", "'true' is no type of event"),
        ("cart,", "'' is no type of event"),
        ("x" * 300, "give true, false, or types of events"),
    ],
)
async def test_other_types_are_refused(shop: Shop, asked: str, said: str) -> None:
    response = await shop.get("/recommend", user="ada", exclude_seen=asked)
    assert_problem(response, 422, "invalid_request")
    assert said in response.text


@pytest.mark.parametrize("asked", [2, 1.5, {"cart": True}, ["cart", 1], [["cart"]], None])
async def test_a_body_has_true_false_or_types(shop: Shop, asked: object) -> None:
    response = await shop.client.post("/recommend", json={"user": "ada", "exclude_seen": asked})
    assert_problem(response, 422, "invalid_request")


async def test_a_visitors_history_says_what_they_did(shop: Shop) -> None:
    past = ["item-9", {"item_id": "item-10", "type": "cart"}, {"item_id": "item-11", "type": "dislike"}]

    async def missing(**asked: object) -> set[str]:
        answer = await shop.client.post("/recommend", json={"history": past, "k": 200, **asked})
        return {f"item-{n}" for n in range(9, 12)} - {item["id"] for item in answer.json()["items"]}

    assert await missing() == {"item-10", "item-11"}
    assert await missing(exclude_seen=True) == {"item-9", "item-10", "item-11"}
    assert await missing(exclude_seen="view") == {"item-9", "item-11"}
    refused = await shop.client.post("/recommend", json={"history": [{"item_id": "a", "type": "impression"}]})
    assert_problem(refused, 422, "invalid_request")


@pytest.mark.parametrize("asked", ["true", "false", "purchase", "view,click"])
async def test_what_is_disliked_is_not_recommended_until_it_is_chosen_again(shop: Shop, asked: str) -> None:
    await did(shop, ("item-9", "view"), ("item-9", "dislike"))
    everything = {"user": "ada", "k": 200, "exclude_seen": asked}
    assert "item-9" not in await shop.ids("/recommend", **everything)
    assert "item-9" not in await shop.ids("/recommend", **everything, candidates="item-9")
    assert "item-9" in await shop.ids("/recommend", user="bob", k=200, exclude_seen=asked)
    assert "item-9" in await shop.ids("/search", q="x", user="ada", k=200, exclude_seen="false")
    await did(shop, ("item-9", "impression"), at=START + 5)
    assert "item-9" not in await shop.ids("/recommend", **everything)
    await did(shop, ("item-9", "click"), at=START + 9)
    assert ("item-9" in await shop.ids("/recommend", **everything)) == (asked in ("false", "purchase"))


async def test_what_is_disliked_is_in_no_prompt(shop: Shop, history: MemoryHistory) -> None:
    rows = [("item-9", "view"), ("item-10", "purchase"), ("item-9", "dislike"), ("item-11", "impression")]
    await did(shop, *rows)
    await did(shop, ("item-10", "purchase"), user="bob")
    asked = {"k": 200, "exclude_seen": "false", "candidates": ["item-12", "item-13", "item-14"]}
    one, other = [
        [(item["id"], item["score"]) for item in (await shop.get("/recommend", user=user, **asked)).json()["items"]]
        for user in ("ada", "bob")
    ]
    assert one == other
    assert len(history.events) == 5


@pytest.mark.parametrize("value", [True, "4.5", float("nan"), [1], {}])
async def test_a_value_is_a_finite_number(shop: Shop, value: object) -> None:
    from json import dumps

    row = {"user_id": "ada", "item_id": "item-9", "type": "rating", "value": value}
    answer = await shop.client.post("/events", content=dumps([row]), headers={"content-type": "application/json"})
    assert answer.status_code in (202, 400, 422)
    assert "accepted" not in answer.json() or answer.json()["accepted"] == []


async def test_values_come_back(shop: Shop, history: MemoryHistory) -> None:
    for value in (5, 4.5, -3, None):
        row = {"user_id": "ada", "item_id": "item-9", "type": EventType.RATING, "value": value}
        assert (await shop.post(row)).status_code == 202
    assert [event.value for event in history.events] == [5.0, 4.5, -3.0, None]
    shown = (await shop.get("/users/ada/history")).json()["events"]
    assert sorted(str(event["value"]) for event in shown) == ["-3.0", "4.5", "5.0", "None"]
