"""What overrides do to answers: pins, hidden items and conditions where their rules meet a query."""

import random
from collections.abc import Sequence
from typing import Any

import pytest

from server.query.listing.overrides import MAX_APPLIED
from server.retrieval.override_reader import OverrideReader
from server.serving.manager import DeploymentManager
from server.storage.overrides import Override, Rule
from tests.server.query.test_pins import inserted
from tests.support.facet_shop import FILTERS, SHOWN, meeting, stock
from tests.support.http_shop import Shop
from tests.support.memory_history import MemoryHistory
from tests.support.small_shop import NAMES

NOW = 1_700_000_000.0


async def meeting_ids(
    rules: Sequence[Override],
    *texts: str,
    filter_by: str | None = None,
    tags: Sequence[str] = (),
    now: float = NOW,
) -> list[str]:
    reader = OverrideReader()
    await reader.replace({one.id: one for one in rules})
    return [one.id for one in reader.meeting(texts, filter_by, tags, now)]


@pytest.mark.parametrize(
    ("query", "exact", "contains"),
    [
        ("red tent", True, True),
        ("Red  TÉNT!", True, True),
        ("ｒｅｄ\u00ad tent", True, True),
        ("red-tent", True, True),
        ("a red tent, please", False, True),
        ("tent red", False, False),
        ("red", False, False),
        ("red tents", False, False),
        ("bored tent", False, False),
        ("red big tent", False, False),
        ("", False, False),
    ],
)
async def test_words_are_met_in_their_normal_form_and_whole(query: str, exact: bool, contains: bool) -> None:
    rules = [Override("is", Rule("Red tent")), Override("has", Rule("red Tent", "contains"))]
    expected = [name for name, met in (("has", contains), ("is", exact)) if met]
    assert await meeting_ids(rules, query) == expected


async def test_a_rule_wants_all_that_it_names() -> None:
    rules = [
        Override("all", Rule("tent", "exact", "price < 9 and available", ("sale", "home"))),
        Override("filter", Rule(filter_by='brand="Alpina"')),
        Override("tag", Rule(tags=("sale", "home"))),
        Override("tagged filter", Rule(filter_by="price < 9", tags=("sale",))),
    ]
    spelt = "price<9   AND available"
    assert await meeting_ids(rules, "tent", filter_by=spelt, tags=["home"]) == ["all", "tag"]
    assert await meeting_ids(rules, "tent", filter_by=spelt) == []
    assert await meeting_ids(rules, "tent", filter_by="price < 9", tags=["x"]) == []
    assert await meeting_ids(rules, filter_by="price<9", tags=["sale", "x", "sale"]) == ["tag", "tagged filter"]
    assert await meeting_ids(rules, filter_by="brand = 'Alpina'") == ["filter"]
    assert await meeting_ids(rules, filter_by="no filter at all (") == []
    assert await meeting_ids(rules) == []


async def test_a_rule_agrees_with_looking_at_each() -> None:
    """The look-up misses none and finds no other, of rules and queries of few words."""
    draw = random.Random(5)
    words = ["red", "tent", "big", "warm"]

    def some(most: int) -> str:
        return " ".join(draw.choice(words) for _ in range(draw.randint(1, most)))

    rules = [
        Override(
            f"rule {n:03}",
            Rule(
                some(3) if draw.random() < 0.7 else None,
                draw.choice(["exact", "contains"]),
                draw.choice([None, None, "price < 9", "price<9", "price < 8"]),
                tuple(draw.sample(["a", "b", "c"], draw.choice([0, 0, 1, 2]))),
            ),
            priority=draw.randint(-1, 1),
        )
        for n in range(300)
    ]
    rules = [one for one in rules if one.rule.query or one.rule.filter_by or one.rule.tags]  # others are refused
    reader = OverrideReader()
    await reader.replace({one.id: one for one in rules})
    for _ in range(300):
        query, filter_by, tags = (
            some(5),
            draw.choice([None, "price < 9"]),
            draw.sample(["a", "b", "c"], draw.randint(0, 2)),
        )

        def met(rule: Rule) -> bool:
            inside = rule.query is None or f" {rule.query} " in f" {query} "  # noqa: B023
            same = rule.query is None or rule.match == "contains" or rule.query == query  # noqa: B023
            one = not rule.tags or not set(rule.tags).isdisjoint(tags)  # noqa: B023
            of = rule.filter_by is None or rule.filter_by.replace(" ", "") == (filter_by or "").replace(" ", "")  # noqa: B023
            return inside and same and one and of

        expected = sorted((one for one in rules if met(one.rule)), key=lambda one: (-one.priority, one.id))
        found = reader.meeting([query], filter_by, tags, NOW)
        assert [one.id for one in found] == [one.id for one in expected]


async def test_they_begin_and_end_by_the_clock_whichever_way_it_goes() -> None:
    rules = [
        Override("always", Rule("tent")),
        Override("from", Rule("tent"), starts_at=NOW),
        Override("until", Rule("tent"), ends_at=NOW),
        Override("between", Rule("tent"), starts_at=NOW - 5, ends_at=NOW + 5),
    ]
    steps = [
        (NOW - 5.001, ["always", "until"]),
        (NOW - 5, ["always", "between", "until"]),
        (NOW, ["always", "between", "from"]),
        (NOW + 5, ["always", "from"]),
        (NOW - 1, ["always", "between", "until"]),  # somebody put the clock back
        (NOW - 60, ["always", "until"]),
        (NOW + 60, ["always", "from"]),
    ]
    reader = OverrideReader()
    await reader.replace({one.id: one for one in rules})
    for now, expected in steps:
        assert [one.id for one in reader.meeting(["tent"], None, (), now)] == expected, now


async def put(shop: Shop, name: str, **body: Any) -> None:
    response = await shop.client.put(f"/overrides/{name}", json=body)
    assert response.status_code == 200, response.text


async def pages(shop: Shop, path: str, **asked: object) -> list[str]:
    ids: list[str] = []
    while True:
        response = await shop.get(path, **asked)
        assert response.status_code == 200, response.text
        body = response.json()
        ids += [item["id"] for item in body["items"]]
        if body["next_cursor"] is None:
            return ids
        asked["cursor"] = body["next_cursor"]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("path", ["/search", "/recommend", "/items", "/search?q=*", "/items/item-9/similar"])
async def test_answers_are_those_of_the_same_pins_hits_and_filter_in_the_query(
    shop: Shop, history: MemoryHistory, path: str, seed: int
) -> None:
    """Over pages, filters and orders: an oracle puts the pins into the list of the others, one after the other."""
    await stock(shop)
    draw = random.Random(f"{path} {seed}")
    asked: dict[str, object] = {"override_tags": "sale, other"}
    rule: dict[str, object] = {"tags": ["sale"]}
    if path == "/search":
        asked["q"] = draw.choice(["tent", "lantern", "warm tent"])
        rule = {"query": asked["q"], "match": draw.choice(["exact", "contains"])}
    elif path == "/search?q=*":
        path, asked["q"] = "/search", "*"
    elif path == "/recommend":
        asked |= {"user": "ada", "exclude_seen": False}
        await shop.saw("ada", *draw.sample(NAMES, 4))
    if path != "/items":
        asked["guidance"] = False
    own = draw.choice([None, *FILTERS])
    if own is not None:
        asked["filter"] = own
    theirs = draw.choice([None, *FILTERS])
    if draw.random() < 0.4:
        asked["sort_by"] = draw.choice(["price:asc", "brand:desc,price"])
        if (await shop.get(path, **asked, total=True)).json()["total_is"] == "answer":
            del asked["sort_by"]
    hidden = draw.sample(NAMES, 3)
    pins = [
        pin for pin in zip(draw.sample(NAMES, 6), draw.sample(range(1, 20), 6), strict=True) if pin[0] not in hidden
    ]
    both = " and ".join(f"({part})" for part in (own, theirs) if part is not None)
    if (await shop.get(path, **asked, total=True)).json()["total_is"] == "matching" and "sort_by" in asked:
        del asked["sort_by"]  # pins count among what matches, so that the order would be of others too
    plain = await shop.ids(path, **{**asked, "filter": both}, k=200, hidden_hits=",".join(hidden))
    allowed = {item["id"] for item in meeting(own)} & {item["id"] for item in meeting(theirs)} - set(hidden)
    if path.endswith("similar"):
        allowed &= set(plain)
    held = [pin for pin in pins if pin[0] in allowed]
    expected = inserted([one for one in plain if one not in dict(held)], held)
    half = len(pins) // 2
    await put(
        shop,
        "first",
        rule=rule,
        priority=2,
        includes=[{"id": name, "position": at} for name, at in pins[:half]],
        filter_by=theirs,
        excludes=hidden[:2],
    )
    await put(
        shop,
        "second",
        rule=rule,
        includes=[{"id": name, "position": at} for name, at in pins[half:]],
        excludes=[*hidden[1:], "nobody"],
    )
    body = (await shop.get(path, **asked)).json()
    assert body["overrides"] == ["first", "second"]
    assert await pages(shop, path, **asked, k=draw.choice([1, 3, 4, 7, 200])) == expected
    off = (await shop.get(path, **asked, enable_overrides=False)).json()
    assert "overrides" not in off
    without = await shop.ids(path, **asked, enable_overrides=False, k=200)
    await shop.client.delete("/overrides/first")
    await shop.client.delete("/overrides/second")
    assert await shop.ids(path, **asked, k=200) == without


async def test_the_first_has_the_first_word_and_what_is_hidden_stays_hidden(shop: Shop) -> None:
    plain = await shop.ids("/search", q="tent", k=200)
    a, b, c, d, e = plain[20:25]
    rule = {"query": "tent"}
    await put(shop, "b", rule=rule, includes=[{"id": a, "position": 1}, {"id": b, "position": 3}])
    await put(shop, "a", rule=rule, includes=[{"id": c, "position": 1}, {"id": b, "position": 2}])
    await put(shop, "c", rule=rule, includes=[{"id": d, "position": 1}], excludes=[e], priority=1)
    asked: dict[str, object] = {"q": "tent", "guidance": False}
    body = (await shop.get("/search", **asked)).json()
    assert body["overrides"] == ["c", "a", "b"]
    assert [item["id"] for item in body["items"]][:4] == [d, c, a, b]
    body = (await shop.get("/search", **asked, pinned_hits=f"{b}:1,{e}:2,none:3", hidden_hits=c)).json()
    assert [item["id"] for item in body["items"]][:3] == [b, d, a]
    assert (body["pinned"], body["pins_missing"]) == ([b, d, a], ["none"])


async def test_an_answer_says_which_applied_and_which_pinned(shop: Shop) -> None:
    last = (await shop.ids("/search", q="tent", k=200))[-1]
    await put(shop, "push", rule={"query": "tent"}, includes=[{"id": last, "position": 2}, {"id": "no", "position": 1}])
    body = (await shop.get("/search", q="tent", k=3, explain=True, pinned_hits="item-9:3")).json()
    told = [(one["explanation"]["pinned"], one["explanation"]["override"]) for one in body["items"]]
    assert told == [(None, None), (2, "push"), (3, None)]
    assert (body["overrides"], body["pinned"], body["pins_missing"]) == (["push"], [last, "item-9"], [])
    assert "overrides" not in (await shop.get("/search", q="rope")).json()


async def test_misspelt_words_and_prices_meet_rules_too(shop: Shop) -> None:
    await stock(shop)
    await put(shop, "lights", rule={"query": "lantern"}, excludes=["item-5"])
    for query in ("lantern", "lanternn", "lantern under 40"):
        body = (await shop.get("/search", q=query)).json()
        assert body["overrides"] == ["lights"], query
    assert "overrides" not in (await shop.get("/search", q="warm lantern")).json()


async def test_a_rule_of_words_is_for_searches_only(shop: Shop) -> None:
    await put(shop, "tents", rule={"query": "tent"}, excludes=["item-5"])
    for path in ("/recommend?user=ada", "/items", "/search?q=*", "/items/item-9/similar"):
        assert "overrides" not in (await shop.get(path)).json()


async def test_cursors_outlive_changes_of_overrides(shop: Shop) -> None:
    asked: dict[str, object] = {"q": "tent", "k": 4, "guidance": False}
    plain = await shop.ids("/search", **asked | {"k": 200})
    first = (await shop.get("/search", **asked)).json()
    late, early = plain[25], plain[2]
    await put(
        shop,
        "new",
        rule={"query": "tent"},
        includes=[{"id": late, "position": 2}, {"id": early, "position": 6}],
        excludes=[plain[4]],
    )
    second = (await shop.get("/search", **asked, cursor=first["next_cursor"])).json()
    assert [item["id"] for item in second["items"]] == [late, plain[5], plain[6], plain[7]]
    assert (second["overrides"], second["pinned"]) == (["new"], [late])
    await shop.client.delete("/overrides/new")
    third = await shop.ids("/search", **asked, cursor=second["next_cursor"])
    assert third == [plain[4], *plain[8:11]]
    foreign = await shop.get("/search", **asked, cursor=first["next_cursor"], enable_overrides=False)
    assert foreign.json()["code"] == "foreign_cursor"


async def test_one_that_does_not_fit_a_query_or_the_items_is_passed_over(
    shop: Shop, deployments: DeploymentManager
) -> None:
    many = " or ".join(f"price = {n}" for n in range(20))
    await put(shop, "wide", rule={"query": "tent"}, filter_by=many)
    assert (await shop.get("/search", q="tent")).json()["overrides"] == ["wide"]
    assert "overrides" not in (await shop.get("/search", q="tent", filter=many)).json(), "over 32 conditions together"
    for wrong in ("price <", "price > 5) or (price < 3"):
        assert (await shop.get("/search", q="tent", filter=wrong)).json()["code"] == "invalid_filter"
    gone = Override("gone", Rule("tent"), filter_by="colour_of_roof = 1", excludes=("item-5",))
    sync = shop.client._transport.app.state.parts.override_sync  # type: ignore[attr-defined]
    await sync.put(gone)  # as one is that was written for another model's columns
    body = (await shop.get("/search", q="tent")).json()
    assert body["overrides"] == ["wide"]


async def test_of_filters_that_are_too_long_together_the_first_count(shop: Shop) -> None:
    """A filter has at most 32 conditions."""
    for number in range(9):
        six = " and ".join(f"price != {10 * number + n}.5" for n in range(6))
        await put(shop, f"{number}", rule={"query": "tent"}, filter_by=six, excludes=[NAMES[number]])
    await put(shop, "zero", rule={"query": "tent"}, excludes=["item-20"])
    body = (await shop.get("/search", q="tent")).json()
    assert body["overrides"] == ["0", "1", "2", "3", "4", "zero"]
    body = (await shop.get("/search", q="tent", filter="price > 1 and price > 2 and price > 3")).json()
    assert body["overrides"] == ["0", "1", "2", "3", "zero"]


async def test_one_query_is_under_a_bounded_number(shop: Shop) -> None:
    for number in range(MAX_APPLIED + 2):
        await put(shop, f"{number:02}", rule={"query": "tent"}, excludes=[NAMES[number]])
    body = (await shop.get("/search", q="tent", k=200)).json()
    assert body["overrides"] == [f"{number:02}" for number in range(MAX_APPLIED)]
    assert {item["id"] for item in body["items"]} == {item["id"] for item in SHOWN} - set(NAMES[:MAX_APPLIED])


async def test_facets_count_what_they_leave(shop: Shop) -> None:
    """Their filter is none of the query's own conditions, which disjunctive facets leave out."""
    await stock(shop)
    await put(shop, "zebras", rule={"tags": ["zoo"]}, filter_by='brand = "Zebra" or brand = "Alpina"')
    body = (
        await shop.get(
            "/items", override_tags="zoo", facets="brand", filter='brand = "Zebra"', disjunctive_facets=True, k=200
        )
    ).json()
    assert set(body["facetDistribution"]["brand"]) == {"Zebra", "Alpina"}
    assert {item["brand"] for item in body["items"]} == {"Zebra"}


async def test_they_begin_and_end_while_the_shop_is_open(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    service = shop.client._transport.app.state.parts.service  # type: ignore[attr-defined]
    await put(shop, "day", rule={"query": "tent"}, excludes=["item-5"], starts_at=NOW, ends_at=NOW + 60)
    for now, applies in ((NOW - 1, False), (NOW, True), (NOW + 60, False), (NOW + 1, True), (NOW - 1, False)):
        monkeypatch.setattr(service, "_clock", lambda now=now: now)
        assert ("overrides" in (await shop.get("/search", q="tent")).json()) is applies
