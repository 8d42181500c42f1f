"""Boosts: the best items with their boosts are found wherever they stood without, with and without guidance."""

import asyncio
import math
import random
from itertools import pairwise
from typing import Any

import pytest

from server.engine.errors import EngineError
from server.engine.protocol import Ranking, RankRequest
from server.query.listing.boosts import MAX_BOOSTS
from tests.support.facet_shop import FILTERS, SHOWN, meeting, stock
from tests.support.http_shop import Shop
from tests.support.small_shop import NAMES
from tests.support.steady_engine import SteadyEngine


class StumblingEngine(SteadyEngine):
    """Fails at the first part of a boosted query when all parts have come, and never ends the others.

    under_way: the requests that are.
    came: whether both parts have come.
    """

    def __init__(self) -> None:
        super().__init__()
        self.under_way: set[str] = set()
        self.came = asyncio.Event()

    async def rank(self, request: RankRequest) -> Ranking:
        if "-part-" not in request.request_id:
            return await super().rank(request)
        self.under_way.add(request.request_id)
        try:
            if len(self.under_way) == 2:
                self.came.set()
            await self.came.wait()
            if request.request_id.endswith("-part-0"):
                raise EngineError("the first part stumbles")
            await asyncio.get_running_loop().create_future()
            raise AssertionError("nobody sets it")
        finally:
            self.under_way.discard(request.request_id)


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> SteadyEngine:
    made: type[SteadyEngine] = getattr(request, "param", SteadyEngine)
    return made()


async def put(shop: Shop, name: str, **body: Any) -> None:
    response = await shop.client.put(f"/overrides/{name}", json=body)
    assert response.status_code == 200, response.text


async def scores(shop: Shop, path: str, **asked: object) -> dict[str, float]:
    """The scores of all items of an answer, as pages give them, which are in the order of these."""
    found: dict[str, float] = {}
    while True:
        response = await shop.get(path, **asked)
        assert response.status_code == 200, response.text
        body = response.json()
        for item in body["items"]:
            assert item["id"] not in found
            found[item["id"]] = item["score"]
        if body["next_cursor"] is None:
            return found
        asked["cursor"] = body["next_cursor"]


def names(expression: str) -> set[str]:
    return {item["id"] for item in meeting(expression)}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("guidance", [True, False])
@pytest.mark.parametrize("path", ["/search", "/recommend"])
async def test_a_boosted_answer_is_that_of_an_oracle_at_every_depth(
    shop: Shop, path: str, guidance: bool, seed: int
) -> None:
    await stock(shop)
    draw = random.Random(f"{path} {guidance} {seed}")
    asked: dict[str, object] = {"override_tags": "sale", "guidance": guidance}
    if path == "/search":
        asked["q"] = draw.choice(["tent", "lantern", "warm", "qqqq"])
    else:
        asked |= {"user": "ada", "exclude_seen": draw.choice([True, False])}
        await shop.saw("ada", *draw.sample(NAMES, 4))
    own = draw.choice([None, *FILTERS])
    if own is not None:
        asked["filter"] = own
    boosts = [
        (expression, draw.choice([0.01, 0.5, 2, math.e, 37, 100]))
        for expression in draw.choices(list(FILTERS), k=draw.randint(1, MAX_BOOSTS))
    ]
    plain = await scores(shop, path, **asked, k=200)
    expected = {
        name: score + sum(math.log(factor) for condition, factor in boosts if name in names(condition))
        for name, score in plain.items()
    }
    for number, (condition, factor) in enumerate(boosts):
        boost = [{"condition": condition, "factor": factor}]
        await put(shop, f"boost {number}", rule={"tags": ["sale"]}, boost=boost)
    found = await scores(shop, path, **asked, k=draw.choice([4, 7, 12, 200]))
    assert found == pytest.approx(expected, abs=2e-6)
    told = [expected[name] for name in found]
    assert all(one >= other - 4e-6 for one, other in pairwise(told))


@pytest.mark.parametrize("guidance", [True, False])
async def test_pins_candidates_caps_orders_and_diversity_go_with_boosts(shop: Shop, guidance: bool) -> None:
    await stock(shop)
    zebras = 'brand = "Zebra"'
    await put(shop, "zebras", rule={"query": "tent"}, boost=[{"condition": zebras, "factor": 100}])
    asked: dict[str, object] = {"q": "tent", "guidance": guidance}
    brand_of = {item["id"]: item["brand"] for item in SHOWN}
    boosted = await scores(shop, "/search", **asked, k=200)
    best = sorted(boosted, key=lambda name: -boosted[name])
    assert list(boosted) == best
    last = best[-1]
    pinned = await shop.ids("/search", **asked, k=200, pinned_hits=f"{last}:1")
    assert pinned == [last, *best[:-1]]
    few = [*best[3:9:2], *best[20:22]]
    response = await shop.client.post("/search", json={**asked, "candidates": few[::-1], "k": 3})
    assert [item["id"] for item in response.json()["items"]] == few[:3]
    grouped = await shop.ids("/search", **asked, k=3, group_by="brand")
    firsts = list({brand_of[name] or name: name for name in best[::-1]}.values())
    assert grouped == sorted(firsts, key=best.index)[:3]
    least = boosted[best[6]] - 1e-5
    assert await shop.ids("/search", **asked, k=200, min_score=least) == best[:7]
    ordered = await shop.ids("/search", **asked, k=200, sort_by="season,_relevance:desc", filter=zebras)
    assert len(ordered) == len(set(ordered))
    assert set(await shop.ids("/search", **asked, k=5, diversity=0.5)) <= set(best)


@pytest.mark.parametrize("guidance", [True, False])
async def test_shares_add_up_and_the_history_has_the_effect_it_had(shop: Shop, guidance: bool) -> None:
    await stock(shop)
    await shop.saw("ada", *NAMES[:3])
    asked: dict[str, object] = {"q": "tent", "guidance": guidance, "user": "ada", "k": 200, "explain": True}
    before = {item["id"]: item for item in (await shop.get("/search", **asked)).json()["items"]}
    zebras = 'brand = "Zebra"'
    await put(shop, "zebras", rule={"query": "tent"}, boost=[{"condition": zebras, "factor": 2}])
    for item in (await shop.get("/search", **asked)).json()["items"]:
        explained, plain = item["explanation"], before[item["id"]]["explanation"]
        assert sum(explained["shares"].values()) == pytest.approx(item["score"], abs=1e-5)
        assert explained["shares"].get("boost", 0) == pytest.approx(math.log(2) * (item["brand"] == "Zebra"), abs=1e-6)
        assert {name: share for name, share in explained["shares"].items() if name != "boost"} == pytest.approx(
            plain["shares"], abs=1e-5
        )
        assert explained["levels"] == plain["levels"]
        if plain["history_effect"] is not None:
            assert explained["history_effect"] == pytest.approx(plain["history_effect"], abs=1e-5)
        assert item["reason"]["source"] == before[item["id"]]["reason"]["source"]


async def test_a_query_has_the_boosts_of_the_first_and_no_more(shop: Shop, engine: SteadyEngine) -> None:
    await stock(shop)
    plain = await scores(shop, "/search", q="tent", k=200, guidance=False)
    for number in range(MAX_BOOSTS + 1):
        boost = [{"condition": f"price >= {10 * number}", "factor": 2}]
        await put(shop, f"{number}", rule={"query": "tent"}, boost=boost)
    before = len(engine.requests)
    boosted = await scores(shop, "/search", q="tent", k=200, guidance=False)
    assert len(engine.requests) - before == MAX_BOOSTS + 1, "one for each part that has items"
    assert max(boosted[name] - plain[name] for name in plain) == pytest.approx(MAX_BOOSTS * math.log(2), abs=1e-5)


@pytest.mark.parametrize("engine", [StumblingEngine], indirect=True, ids=["stumbling"])
async def test_no_part_goes_on_where_another_one_failed(shop: Shop, engine: StumblingEngine) -> None:
    """Its filter bitmap may be retired, and its slot is another query's."""
    await stock(shop)
    await put(shop, "zebras", rule={"query": "tent"}, boost=[{"condition": 'brand = "Zebra"', "factor": 2}])
    response = await shop.get("/search", q="tent")
    assert response.status_code == 500, response.text
    assert engine.came.is_set()
    assert engine.under_way == set()


async def test_browsing_has_no_scores_that_could_be_boosted(shop: Shop) -> None:
    await stock(shop)
    plain = await shop.ids("/items", k=200, override_tags="sale")
    await put(shop, "sale", rule={"tags": ["sale"]}, boost=[{"condition": "price < 20", "factor": 100}])
    body = (await shop.get("/items", k=200, override_tags="sale")).json()
    assert [item["id"] for item in body["items"]] == plain
    assert body["overrides"] == ["sale"]
