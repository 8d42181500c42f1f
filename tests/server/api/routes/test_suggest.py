"""Suggestions over HTTP: queries of many people, values, and items; without an engine."""

from pathlib import Path

import pytest

from catalog.data.events import EventType
from server.core.errors import StartupError
from server.core.settings import Settings
from server.engine.errors import EngineUnavailable
from server.serving.manager import DeploymentManager
from server.storage.protocol import LoggedEvent
from tests.support.http_shop import Shop
from tests.support.memory_app import create_memory_app
from tests.support.problems import assert_problem
from tests.support.small_shop import NAMES, UNAVAILABLE, RecordingEngine, make_deployments

SHOWN = len(NAMES) - len(UNAVAILABLE)


async def count(
    deployments: DeploymentManager,
    text: str,
    *people: int,
    erased: tuple[str, ...] = (),
    kind: EventType = EventType.VIEW,
) -> None:
    events = [LoggedEvent(f"user-{who}", NAMES[4], text, (), kind.value) for who in people]
    await deployments.router.current.catalog.count_events(events, erased)


async def queries(shop: Shop, **parameters: object) -> list[str]:
    response = await shop.get("/suggest", **parameters)
    assert response.status_code == 200, response.text
    return [query["text"] for query in response.json()["queries"]]


async def test_a_query_of_five_people_is_suggested_and_goes_when_one_is_erased(
    shop: Shop, deployments: DeploymentManager
) -> None:
    await count(deployments, "Tent", 0, 1, 2, 3, 3, 3)
    assert await queries(shop, q="te") == []
    await count(deployments, "tent", 4)
    assert (await shop.get("/suggest", q="te", kinds="queries")).json()["queries"] == [{"text": "tent", "start": 2}]
    assert await queries(shop, q="") == ["tent"]
    await count(deployments, "tent", erased=("user-2",))
    assert await queries(shop, q="te") == []


@pytest.mark.parametrize("kind", [EventType.IMPRESSION, EventType.DISLIKE])
async def test_what_was_only_shown_or_disliked_counts_nothing(
    shop: Shop, deployments: DeploymentManager, kind: EventType
) -> None:
    await count(deployments, "tent", *range(9), kind=kind)
    assert await queries(shop, q="te") == []


async def test_what_is_private_or_rude_is_never_suggested(shop: Shop, deployments: DeploymentManager) -> None:
    for text in ("tent ada@example.org", "tent 030 1234567", "tent shit", "tent pegs"):
        await count(deployments, text, *range(9))
    assert await queries(shop, q="tent") == ["tent pegs"]


async def test_values_come_with_their_counts_and_a_filter_that_finds_them(shop: Shop) -> None:
    (value,) = (await shop.get("/suggest", q="cÁM")).json()["categories"]
    assert value == {
        "column": "categories",
        "value": "camping",
        "count": SHOWN,
        "filter": 'categories = "camping"',
        "start": 0,
        "end": 3,
    }
    assert (await shop.get("/items", filter=value["filter"])).json()["total"] == value["count"]
    narrow = (await shop.get("/suggest", q="", kinds="categories", filter="price < 3")).json()["categories"]
    assert {(one["column"], one["value"], one["count"]) for one in narrow} == {
        ("brand", "Alpina", 3),
        ("categories", "camping", 3),
        ("categories", "outdoor", 3),
    }


async def test_items_obey_availability_and_the_filter_and_follow_changes(shop: Shop) -> None:
    body = (await shop.get("/suggest", q="title", k=20, filter="price < 8")).json()
    ids = [item["id"] for item in body["items"]]
    assert set(ids) == {NAMES[place] for place in range(8) if place not in {*UNAVAILABLE, 6}}
    assert (body["items"][0]["start"], body["items"][0]["end"]) == (0, 5)
    assert {item["id"] for item in (await shop.get("/suggest", q="", k=20)).json()["items"]} <= set(NAMES)
    await shop.client.patch(f"/items/{NAMES[4]}", json={"title": "Wigwam of wool", "brand": "Norvik"})
    found = (await shop.get("/suggest", q="woo")).json()
    assert [(item["id"], item["start"], item["end"]) for item in found["items"]] == [(NAMES[4], 10, 13)]
    assert (await shop.get("/suggest", q="nor")).json()["categories"][0]["value"] == "Norvik"
    await shop.client.delete(f"/items/{NAMES[4]}")
    assert (await shop.get("/suggest", q="woo")).json()["items"] == []
    assert (await shop.get("/suggest", q="nor")).json()["categories"] == []


async def test_they_come_while_the_engine_is_dead(shop: Shop, engine: RecordingEngine) -> None:
    async def dead(*_: object) -> None:
        raise EngineUnavailable("it died")

    engine.rank = dead  # type: ignore[method-assign, assignment]
    assert len((await shop.get("/suggest", q="title")).json()["items"]) == 5
    assert engine.requests == []


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"q": "te", "k": 21}, "k"),
        ({"q": "te", "k": 0}, "k"),
        ({"q": "te", "kinds": "brands"}, "kinds"),
        ({"q": "t" * 1_001}, "q"),
        ({"q": "te", "prefix": "no"}, "prefix"),
    ],
)
async def test_what_cannot_be_asked_is_refused(shop: Shop, parameters: dict[str, object], field: str) -> None:
    problem = assert_problem(await shop.get("/suggest", **parameters), 422, "invalid_request")
    assert field in str(problem["detail"])


@pytest.mark.parametrize("q", ["*", "  ", "\x00", "🏕️", "(", "é" * 900, "te%", '"'])
async def test_whatever_is_typed_is_text(shop: Shop, q: str) -> None:
    assert (await shop.get("/suggest", q=q)).status_code == 200


async def test_a_filter_that_is_none_is_pointed_at(shop: Shop) -> None:
    assert_problem(await shop.get("/suggest", q="te", filter="price <"), 422, "invalid_filter")


async def test_the_words_of_a_file_are_blocked_and_one_that_is_missing_is_named(
    settings: Settings, tmp_path: Path
) -> None:
    missing = settings.model_copy(update={"suggest_blocked": tmp_path / "nowhere.txt"})
    app = create_memory_app(missing, lambda _: make_deployments(settings, RecordingEngine()))
    with pytest.raises(StartupError, match=r"nowhere\.txt"):
        async with app.router.lifespan_context(app):
            pass
