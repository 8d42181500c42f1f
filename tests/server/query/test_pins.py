"""Items at places of a shop's own choice, and items that are left out, over pages, filters and orders."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.query.listing.pins import placed
from server.query.types import Pinned
from tests.support.facet_shop import FILTERS, SHOWN, meeting, stock
from tests.support.http_shop import Shop
from tests.support.problems import assert_problem
from tests.support.small_shop import NAMES, UNAVAILABLE

GONE = [NAMES[row] for row in sorted(UNAVAILABLE)]


def inserted(others: list[Any], pins: list[tuple[Any, int]]) -> list[Any]:
    """The whole list, by putting one pin after the other into it."""
    whole = list(others)
    for item, position in sorted(pins, key=lambda pin: pin[1]):
        whole.insert(position - 1, item)
    return whole


@given(
    others=st.integers(0, 30),
    positions=st.lists(st.integers(1, 45), max_size=12, unique=True),
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=5),
)
def test_pages_are_those_of_a_list_into_which_pins_were_put(
    others: int, positions: list[int], sizes: list[int]
) -> None:
    pins = [Pinned(100 + number, position) for number, position in enumerate(sorted(positions))]
    pages: list[int] = []
    for turn in range(100):
        k = sizes[turn % len(sizes)]
        left = [leaf for leaf in range(others) if leaf not in pages][:k]
        page = placed(left, [pin for pin in pins if pin.leaf not in pages], len(pages) + 1, k)
        pages += page
        if len(page) < k:
            break
    assert pages == inserted(list(range(others)), [(pin.leaf, pin.position) for pin in pins])


async def pages(shop: Shop, path: str, **asked: object) -> list[str]:
    """The ids of all pages, where each names those of its items that are pinned."""
    ids: list[str] = []
    pinned: list[str] = []
    while True:
        response = await shop.get(path, **asked)
        assert response.status_code == 200, response.text
        body = response.json()
        ids += [item["id"] for item in body["items"]]
        pinned += body["pinned"] or []
        if body["next_cursor"] is None:
            wanted = [pin.rpartition(":")[0] for pin in str(asked["pinned_hits"]).split(",")]
            assert pinned == [item_id for item_id in ids if item_id in wanted]
            return ids
        asked["cursor"] = body["next_cursor"]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("path", ["/search", "/recommend", "/items", "/search?q=*", "/items/item-9/similar"])
async def test_pins_stand_at_their_places_whatever_is_asked(shop: Shop, path: str, seed: int) -> None:
    await stock(shop)
    draw = random.Random(f"{path} {seed}")
    asked: dict[str, object] = {"fields": "brand"}
    if path == "/search":
        asked |= {
            "q": draw.choice(["tent", "lantern", "warm tent", "qqqqq"]),
        }
    elif path == "/search?q=*":
        path, asked["q"] = "/search", "*"
    elif path == "/recommend":
        asked |= {"user": "ada", "exclude_seen": draw.choice([True, False])}
        await shop.saw("ada", *draw.sample(NAMES, 4))
    if draw.random() < 0.5:
        asked["filter"] = draw.choice(list(FILTERS))
    if path != "/items":
        asked["guidance"] = False  # guided scores of the fake engine depend on what else is wanted
    hidden = draw.sample(NAMES, draw.randint(0, 4))
    if draw.random() < 0.4:
        limits = {"hidden_hits": ",".join(hidden), "total": True}
        if (await shop.get(path, **asked, **limits)).json()["total_is"] != "answer":  # where every page has an order
            asked["sort_by"] = draw.choice(["price:asc", "brand:desc,price"])
    plain = await shop.ids(path, **asked, k=200, hidden_hits=",".join(hidden))
    pins = list(zip(draw.sample(NAMES, draw.randint(1, 8)), draw.sample(range(1, 40), 8), strict=False))
    allowed = {item["id"] for item in meeting(asked.get("filter"))}  # type: ignore[arg-type]
    if (path == "/recommend" and asked["exclude_seen"]) or path.endswith("similar"):
        allowed &= set(plain)
    allowed -= set(hidden)
    held = [pin for pin in pins if pin[0] in allowed]
    expected = inserted([one for one in plain if one not in dict(held)], held)
    asked["pinned_hits"] = ",".join(f"{item_id}:{position}" for item_id, position in pins)
    asked["hidden_hits"] = ",".join(hidden)
    assert await pages(shop, path, **asked, k=draw.choice([1, 3, 4, 7, 200])) == expected


async def test_a_pin_is_told_with_its_place_and_a_reason(shop: Shop) -> None:
    last = (await shop.ids("/search", q="tent", k=200))[-1]
    body = (await shop.get("/search", q="tent", k=3, pinned_hits=f"{last}:2", explain=True)).json()
    assert [item["explanation"]["pinned"] for item in body["items"]] == [None, 2, None]
    pinned = body["items"][1]
    assert pinned["id"] == last
    assert pinned["reason"]["text"]
    assert (body["pinned"], body["pins_missing"]) == ([last], [])
    assert (await shop.get("/search", q="tent")).json().get("pinned") is None


async def test_what_is_not_there_is_passed_over_and_told(shop: Shop) -> None:
    plain = await shop.ids("/search", q="tent", k=5)
    wanted = f"nobody:1,{GONE[0]}:2,Nobody, too:3"
    body = (await shop.get("/search", q="tent", k=5, pinned_hits=wanted)).json()
    assert [item["id"] for item in body["items"]] == plain
    assert (body["pinned"], body["pins_missing"]) == ([], ["nobody", "Nobody, too"])
    await shop.client.delete(f"/items/{plain[0]}")
    body = (await shop.get("/search", q="tent", k=5, pinned_hits=f"{plain[0]}:1")).json()
    assert body["items"][0]["id"] == plain[1]
    assert body["pins_missing"] == [plain[0]]


async def test_hidden_items_are_not_counted_and_pinned_ones_are(shop: Shop) -> None:
    await stock(shop)
    body = (await shop.get("/search", q="lantern", total=True)).json()
    assert body["total_is"] == "matching"
    other = next(item["id"] for item in SHOWN if "lantern" not in item["title"])
    lantern = next(item["id"] for item in SHOWN if "lantern" in item["title"])
    asked: dict[str, object] = {"q": "lantern", "total": True, "pinned_hits": f"{other}:2"}
    first = (await shop.get("/search", **asked, k=4)).json()
    second = (await shop.get("/search", **asked, k=4, cursor=first["next_cursor"])).json()
    assert first["total"] == second["total"] == body["total"] + 1
    hidden = (await shop.get("/search", **asked, hidden_hits=f"{other},{lantern}")).json()
    assert hidden["total"] == body["total"] - 1
    assert (hidden["pinned"], hidden["pins_missing"]) == ([], [])


async def test_a_lowest_score_is_for_items_that_are_not_pinned(shop: Shop) -> None:
    ranked = (await shop.get("/search", q="tent", k=200, guidance=False)).json()["items"]
    least = ranked[4]["score"] - 1e-5
    last = ranked[-1]["id"]
    expected = [item["id"] for item in ranked[:5]]
    assert await pages(shop, "/search", q="tent", k=200, min_score=least, pinned_hits=f"{last}:3", guidance=False) == [
        *expected[:2],
        last,
        *expected[2:],
    ]


@pytest.mark.parametrize(
    "path", ["/search?q=tent&guidance=false", "/search?q=tent&sort_by=price", "/items?", "/popular?"]
)
async def test_others_leave_room_for_pins_where_values_are_capped(shop: Shop, path: str) -> None:
    await stock(shop)
    brand_of = {item["id"]: item["brand"] for item in SHOWN}
    first, second, third = [item_id for item_id, brand in brand_of.items() if brand == "Zebra"][:3]
    asked = f"{path}&group_by=brand&group_limit=2&k=4&pinned_hits={first}:2,{second}:6,{third}:7"
    ids: list[str] = []
    cursor = ""
    while cursor is not None:
        body = (await shop.client.get(f"{asked}{cursor and '&cursor='}{cursor}")).json()
        ids += [item["id"] for item in body["items"]]
        cursor = body["next_cursor"]
    assert len(ids) == len(set(ids))
    assert (ids[1], ids[5], ids[6]) == (first, second, third) or len(ids) < 7
    assert [one for one in ids if brand_of[one] == "Zebra"] == [first, second, third]
    assert sum(brand_of[one] == "Alpina" for one in ids) == 2


async def test_pins_are_given_as_text_or_as_objects_and_are_candidates_or_nothing(shop: Shop) -> None:
    forms: list[Any] = [
        "item-9:1,item-10:3",
        ["item-9:1", "item-10:3"],
        [{"id": "item-9", "position": 1}, {"item_id": "item-10", "position": 3.0}],
        ["item-10:3", {"id": "item-9", "position": 1}],
    ]
    answers = []
    for form in forms:
        response = await shop.client.post("/search", json={"q": "tent", "pinned_hits": form, "k": 4})
        assert response.status_code == 200, response.text
        answers.append([item["id"] for item in response.json()["items"]])
    assert answers[0][::2] == ["item-9", "item-10"]
    assert answers == answers[:1] * len(forms)
    asked = {"q": "tent", "candidates": ["item-9", "item-11"], "pinned_hits": "item-10:1,item-11:2"}
    body = (await shop.client.post("/search", json=asked)).json()
    assert [item["id"] for item in body["items"]] == ["item-9", "item-11"]


@pytest.mark.parametrize(
    ("asked", "field", "says"),
    [
        ({"pinned_hits": "item-9"}, "pinned_hits", "write ID:position"),
        ({"pinned_hits": "item-9:1,item-10"}, "pinned_hits", "no place behind 'item-10'"),
        ({"pinned_hits": "item-9:0"}, "pinned_hits.0.position", "greater than or equal to 1"),
        ({"pinned_hits": "item-9:1001"}, "pinned_hits.0.position", "less than or equal to 1000"),
        ({"pinned_hits": "item-9:-1"}, "pinned_hits", "write ID:position"),
        ({"pinned_hits": "item-9:١"}, "pinned_hits", "write ID:position"),
        ({"pinned_hits": ":1"}, "pinned_hits.0.id", "empty"),
        ({"pinned_hits": "item-9:1,item-9:2"}, "pinned_hits", "item-9 twice"),
        ({"pinned_hits": "item-9:1,item-8:1"}, "pinned_hits", "position 1 twice"),
        ({"pinned_hits": ",".join(f"i{n}:{n}" for n in range(1, 60))}, "pinned_hits", "over 50 pins"),
        ({"pinned_hits": [{"id": "item-9"}]}, "pinned_hits.0.position", "required"),
        ({"pinned_hits": [{"id": "item-9", "place": 1}]}, "pinned_hits.0", "place"),
        ({"pinned_hits": 5}, "pinned_hits", "list"),
        ({"hidden_hits": ["a"] * 1_001}, "hidden_hits", "1000"),
        ({"hidden_hits": [" "]}, "hidden_hits.0", "empty"),
    ],
)
async def test_what_is_wrong_with_pins_is_said(shop: Shop, asked: dict[str, Any], field: str, says: str) -> None:
    response = await shop.client.post("/search", json={"q": "tent", **asked})
    assert_problem(response, 422, "invalid_request")
    (fault,) = response.json()["errors"]
    assert fault["field"].startswith(field)
    assert says in fault["message"] or says in fault["field"]


async def test_a_cursor_is_good_for_its_own_pins(shop: Shop) -> None:
    first = (await shop.get("/search", q="tent", k=3, pinned_hits="item-9:1", hidden_hits="item-3")).json()
    for other in ({}, {"pinned_hits": "item-9:2"}, {"pinned_hits": "item-9:1"}):
        response = await shop.get("/search", q="tent", k=3, cursor=first["next_cursor"], **other)
        assert_problem(response, 422, "foreign_cursor")
