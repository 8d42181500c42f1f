"""Boosts: the best items with their boosts are found wherever they stood without, with and without guidance."""

import math
import random
from itertools import pairwise
from typing import Any

import pytest

from server.engine.protocol import Ranking, RankRequest
from server.query.listing.boosts import MAX_BOOSTS
from tests.support.facet_shop import FILTERS, SHOWN, meeting, stock
from tests.support.fake_engine import FakeEngine
from tests.support.http_shop import Shop
from tests.support.small_shop import NAMES, RecordingEngine


class SteadyEngine(RecordingEngine):
    """Gives a leaf the same score whatever else is wanted, and equal ones in the order of leaves, as a model does."""

    async def rank(self, request: RankRequest) -> Ranking:
        self.requests.append(request)
        size = len(self._index) if request.index_id == 0 else len(self._installed[request.index_id].index)
        every = RankRequest(
            request.prompt,
            size,
            size,
            request.request_id,
            index_id=request.index_id,
            by_level=request.by_level,
            prior=request.prior,
        )
        whole = await FakeEngine.rank(self, every)
        only = await FakeEngine.rank(
            self,
            RankRequest(
                request.prompt,
                size,
                size,
                request.request_id,
                request.deny,
                request.allow,
                request.filter_id,
                request.index_id,
            ),
        )
        wanted = set(only.leaves)
        places = [place for place, leaf in enumerate(whole.leaves) if leaf in wanted]
        places.sort(key=lambda place: (-whole.scores[place], whole.leaves[place]))
        return whole.at(places[: request.k])


@pytest.fixture
def engine() -> SteadyEngine:
    return SteadyEngine()


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


async def test_browsing_has_no_scores_that_could_be_boosted(shop: Shop) -> None:
    await stock(shop)
    plain = await shop.ids("/items", k=200, override_tags="sale")
    await put(shop, "sale", rule={"tags": ["sale"]}, boost=[{"condition": "price < 20", "factor": 100}])
    body = (await shop.get("/items", k=200, override_tags="sale")).json()
    assert [item["id"] for item in body["items"]] == plain
    assert body["overrides"] == ["sale"]
