"""Shelves that no model fills: from the events of the log, without an engine."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from catalog.data.tombstones import digest_of
from catalog.priors.live.recent import HALF_LIFE_MS
from server.core.settings import Settings
from server.retrieval.priors import trends
from server.serving.sync import event_sync
from server.storage.protocol import LoggedEvent
from tests.server.query.test_sorting import pages
from tests.support.facet_shop import FILTERS, SHOWN, meeting, stock
from tests.support.http_shop import Shop
from tests.support.memory_app import create_memory_app
from tests.support.memory_history import MemoryHistory
from tests.support.memory_log import MemoryLog
from tests.support.problems import assert_problem
from tests.support.small_shop import NAMES, RecordingEngine, make_deployments
from tests.support.waiting import PATIENCE_SECONDS

SHELVES = ["/popular", "/trending", "/latest", f"/items/{NAMES[8]}/bought-together"]
OFTEN = {8: 40, 9: 20, 10: 10}
"""How many people took some items long ago, by their places."""
LATELY = {11: 6, 8: 2, 12: 1}
"""How many did today."""


class DeadEngine(RecordingEngine):
    """An engine that nobody may ask."""

    async def rank(self, request: object) -> None:  # type: ignore[override]
        raise AssertionError("an engine was asked")


@pytest.fixture
def log() -> MemoryLog:
    """What was taken long ago and today; somebody took items 8, 9 and 13 together."""
    log = MemoryLog()
    now = int(1_000 * time.time())
    for age, taken in ((40 * HALF_LIFE_MS, OFTEN), (0, LATELY)):
        for place, people in taken.items():
            took(log, *(NAMES[place] for _ in range(people)), at=now - age)
    took(log, NAMES[8], NAMES[9], NAMES[13], user="bob", at=now - 40 * HALF_LIFE_MS)
    took(log, NAMES[8], NAMES[9], user="cleo", at=now - 40 * HALF_LIFE_MS)
    return log


def took(log: MemoryLog, *items: str, at: int, user: str | None = None) -> None:
    """Events of one user, or of one each."""
    for item in items:
        own = user or f"user {len(log.entries)}"
        log.entries.append((1, LoggedEvent(digest_of(own), item, None, timestamp=at)))


@pytest.fixture
def engine() -> RecordingEngine:
    return DeadEngine()


@pytest.fixture
async def shop(
    settings: Settings, engine: RecordingEngine, log: MemoryLog, history: MemoryHistory, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Shop]:
    monkeypatch.setattr(event_sync, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(trends, "TRENDS_SECONDS", 0.0)
    app = create_memory_app(settings, lambda s: make_deployments(s, engine), history=history, log=log)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            shop = Shop(client)
            await stock(shop)
            yield shop


async def until(condition: Callable[[list[str]], bool], shop: Shop, path: str) -> list[str]:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition(found := await shop.ids(path, k=200)):
            await asyncio.sleep(0.01)
    return found


async def test_popular_items_are_those_with_most_events(shop: Shop) -> None:
    body = (await shop.get("/popular", k=5)).json()
    counts = Counter(OFTEN) + Counter(LATELY) + Counter({8: 2, 9: 2, 13: 1})
    expected = sorted(counts, key=lambda place: (-counts[place], NAMES[place]))
    assert [item["id"] for item in body["items"]] == [NAMES[place] for place in expected][:5]
    assert [item["reason"]["text"] for item in body["items"]] == ["Chosen by many"] * 5
    assert "fallback" not in body
    assert body["degraded"] is False


async def test_what_trends_is_taken_more_than_usual_lately_and_what_is_popular_follows(shop: Shop) -> None:
    body = (await shop.get("/trending", k=200)).json()
    ids = [item["id"] for item in body["items"]]
    assert ids[:2] == [NAMES[11], NAMES[12]]
    assert ids[2:] == [item for item in await shop.ids("/popular", k=200) if item not in ids[:2]]
    scores = [item["score"] for item in body["items"]]
    assert scores[0] > scores[1] > 0 == scores[2] == scores[-1], "item 8 is taken as often as ever"
    assert body["items"][0]["reason"]["text"] == "Chosen more than usual lately"
    assert "fallback" not in body
    rest = (await shop.get("/trending", k=3, candidates=[NAMES[8], NAMES[9]])).json()
    assert rest["fallback"] == "popular"
    assert [item["id"] for item in rest["items"]] == [NAMES[8], NAMES[9]]


async def test_events_move_shelves_while_they_are_shown_and_an_erasure_takes_them_back(
    shop: Shop, log: MemoryLog
) -> None:
    before = {path: await shop.ids(path, k=200) for path in SHELVES}
    assert NAMES[20] not in before[SHELVES[3]]
    now = int(1_000 * time.time())
    for number in range(30):
        took(log, NAMES[8], NAMES[20], user=f"late {number}", at=now)
    await until(lambda ids: ids[0] == NAMES[20], shop, "/trending")
    await until(lambda ids: NAMES[20] in ids[:2], shop, "/popular")
    await until(lambda ids: NAMES[20] in ids[:2], shop, SHELVES[3])
    log.entries += [digest_of(f"late {number}") for number in range(30)]
    for path in SHELVES:
        assert await until(lambda ids, path=path: ids == before[path], shop, path)  # type: ignore[misc]


async def test_the_latest_items_are_those_that_were_written_last(shop: Shop) -> None:
    assert await shop.ids("/latest", k=200) == await shop.ids("/popular", k=200), "none was written since the model"
    for name in ("zz", "aa"):
        assert (await shop.client.post("/items", json=[{"id": name, "title": name, "price": 1}])).status_code == 200
    body = (await shop.get("/latest", k=3)).json()
    assert [item["id"] for item in body["items"]] == ["aa", "zz", NAMES[8]]
    assert [item["reason"]["text"] for item in body["items"]] == ["New in the catalog"] * 2 + ["Chosen by many"]
    assert await shop.ids("/latest", k=2, sort_by="price:asc,_relevance:desc", filter="price >= 1") == ["aa", "zz"]
    await shop.client.post("/items", json=[{"id": "zz", "title": "written again"}])
    assert await shop.ids("/latest", k=2) == ["aa", "zz"], "it was first written before"


async def test_only_what_was_taken_together_is_shown_as_that(shop: Shop) -> None:
    body = (await shop.get(SHELVES[3])).json()
    assert [item["id"] for item in body["items"]] == [NAMES[13], NAMES[9]]
    assert (body["total"], body["next_cursor"]) == (2, None)
    reason = body["items"][0]["reason"]
    assert (reason["code"], reason["item"], reason["source"]) == ("similar", NAMES[8], "neighbours")
    assert await shop.ids(f"/items/{NAMES[9]}/bought-together") == [NAMES[13], NAMES[8]]
    assert (await shop.get(f"/items/{NAMES[25]}/bought-together")).json()["items"] == []
    assert_problem(await shop.get("/items/nobody/bought-together"), 404, "item_not_found")
    (await shop.client.delete(f"/items/{NAMES[9]}")).raise_for_status()
    assert await shop.ids(SHELVES[3]) == [NAMES[13]]
    assert_problem(await shop.get(f"/items/{NAMES[9]}/bought-together"), 404, "item_not_found")


@pytest.mark.parametrize("path", SHELVES)
async def test_every_shelf_takes_filters_candidates_pages_orders_facets_and_fields(shop: Shop, path: str) -> None:
    whole = await pages(shop, path, k=200)
    assert len(whole) == len(set(whole)) > 1
    if "bought" not in path:
        assert set(whole) == {item["id"] for item in SHOWN}
    for expression in FILTERS:
        allowed = {item["id"] for item in meeting(expression)}
        expected = [item for item in whole if item in allowed]
        assert await pages(shop, path, filter=expression, k=200) == expected
        assert await pages(shop, path, filter=expression, k=2) == expected
        body = (await shop.get(path, filter=expression, facets="brand", k=1)).json()
        assert (body["total"], body["total_is"]) == (len(expected), "allowed")
        assert sum(body["facetDistribution"]["brand"].values()) <= len(expected)
    assert await pages(shop, path, candidates=[*whole[::2], "nobody"], k=2) == whole[::2]
    by_price = await shop.get(path, sort_by="price:asc", fields="price", k=200)
    prices = [item["price"] for item in by_price.json()["items"] if item["price"] is not None]
    assert prices == sorted(prices)
    assert all("title" not in item for item in by_price.json()["items"])


@pytest.mark.parametrize("path", SHELVES)
async def test_every_shelf_leaves_out_what_a_user_had(shop: Shop, path: str, history: MemoryHistory) -> None:
    whole = await shop.ids(path, k=200)
    await shop.saw("ada", whole[0])
    assert await shop.ids(path, k=200, user="ada") == whole
    assert await pages(shop, path, k=2, user="ada", exclude_seen="true") == whole[1:]
    history.away = True
    body = (await shop.get(path, k=200, user="ada", exclude_seen="true")).json()
    assert [item["id"] for item in body["items"]] == whole
    assert body["degraded"] is True


async def test_a_cursor_is_of_its_shelf(shop: Shop) -> None:
    cursor = (await shop.get("/popular", k=3)).json()["next_cursor"]
    for path in ("/trending", "/latest", "/items", f"/items/{NAMES[8]}/bought-together", "/popular?exclude_seen=true"):
        joined = f"{path}{'&' if '?' in path else '?'}cursor={cursor}"
        assert_problem(await shop.get(joined), 422, "foreign_cursor")


@pytest.mark.parametrize(
    ("path", "field"),
    [("/popular?q=tent", "q"), ("/trending?min_score=1", "min_score"), ("/latest?sort_by=prise", "sort_by")],
)
async def test_what_a_shelf_does_not_take_is_named(shop: Shop, path: str, field: str) -> None:
    assert assert_problem(await shop.get(path), 422, "invalid_request")["errors"][0]["field"] == field


async def test_where_no_events_are_known_shelves_are_there_all_the_same(shop: Shop, log: MemoryLog) -> None:
    log.entries += sorted({entry[1].user for entry in log.entries if not isinstance(entry, str)})
    await until(lambda ids: ids[0] != NAMES[11], shop, "/trending")
    body = (await shop.get("/trending", k=200)).json()
    assert body["fallback"] == "popular"
    assert len(body["items"]) == len(SHOWN)


class TestBaskets:
    """Items like a basket are of the model."""

    @pytest.fixture
    def engine(self) -> RecordingEngine:
        return RecordingEngine()

    async def test_the_model_is_asked_for_what_follows_all_items(self, shop: Shop, engine: RecordingEngine) -> None:
        engine.requests.clear()
        response = await shop.client.post("/similar", json={"items": [NAMES[4], NAMES[8]], "k": 3})
        assert response.status_code == 200, response.text
        answer = response.json()
        assert {NAMES[4], NAMES[8]}.isdisjoint(item["id"] for item in answer["items"])
        assert {item["reason"]["code"] for item in answer["items"]} == {"similar"}
        alone = await shop.client.post("/similar", json={"items": [NAMES[8]], "k": 3})
        assert [item["id"] for item in alone.json()["items"]] == await shop.ids(f"/items/{NAMES[8]}/similar", k=3)
        first, second, third = engine.requests
        assert first.prompt != second.prompt == third.prompt

    @pytest.mark.parametrize(
        ("body", "status", "code"),
        [
            ({"items": []}, 422, "invalid_request"),
            ({}, 422, "invalid_request"),
            ({"items": ["a"] * 101}, 422, "invalid_request"),
            ({"items": [NAMES[4], "nobody"]}, 404, "item_not_found"),
        ],
    )
    async def test_a_basket_that_is_none(self, shop: Shop, body: object, status: int, code: str) -> None:
        assert_problem(await shop.client.post("/similar", json=body), status, code)
