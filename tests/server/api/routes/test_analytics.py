"""Analytics as an operator asks for them, and that no answer waits for them."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from catalog.data.tombstones import digest_of
from server.core.settings import Settings
from server.serving.manager import DeploymentManager
from tests.support.http_shop import Shop
from tests.support.memory_answers import MemoryAnswers
from tests.support.memory_app import create_memory_app
from tests.support.problems import assert_problem
from tests.support.small_shop import publish_names


@pytest.fixture
def answers() -> MemoryAnswers:
    return MemoryAnswers()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    publish_names(tmp_path, "2025-11-20-a")
    return Settings(bundles=tmp_path, analytics=tmp_path / "analytics", open_admin=True, guidance_timeout_ms=60_000)


@pytest.fixture
async def shop(settings: Settings, deployments: DeploymentManager, answers: MemoryAnswers) -> AsyncIterator[Shop]:
    app = create_memory_app(settings, lambda _: deployments, answers=answers)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            yield Shop(client)


async def report(shop: Shop, name: str, **parameters: object) -> dict[str, Any]:
    app = shop.client._transport.app  # type: ignore[attr-defined]
    await app.state.parts.collector.flush()
    answer = await shop.get(f"/analytics/{name}", **parameters)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def clicked(answers: MemoryAnswers, user: str, item: str, answer: httpx.Response, kind: str = "click") -> None:
    """An event of the log, as the real store reads it."""
    place = f"00/{len(answers.events)}-0"
    answers.events.append(
        {
            "place": place,
            "at": _now(),
            "recorded_at": _now(),
            "user": digest_of(user),
            "event_id": place,
            "item": item,
            "type": kind,
            "request_id": answer.json()["request_id"],
            "value": 20.0 if kind == "purchase" else None,
        }
    )


def _now() -> int:
    return time.time_ns() // 1_000_000


async def test_keystrokes_are_one_intent_and_clicks_have_positions(shop: Shop, answers: MemoryAnswers) -> None:
    for text in ("ti", "titl", "title 7", "title"):
        last = await shop.get("/search", q=text, user="ada")
    clicked(answers, "ada", last.json()["items"][2]["id"], last)
    await shop.get("/search", q="TITLE", user="bob")
    await shop.get("/search", q="title")
    (query,) = (await report(shop, "queries"))["queries"]
    assert (query["query"], query["intents"], query["users"], query["clicked"]) == ("title", 3, 2, 1)
    assert query["mean_position"] == 3
    assert query["click_rate"]["rate"] == pytest.approx(1 / 3)
    assert query["click_rate"]["low"] < 1 / 3 < query["click_rate"]["high"]


async def test_a_click_on_the_second_page_counts_for_the_search_with_its_place(
    shop: Shop, answers: MemoryAnswers
) -> None:
    first = await shop.get("/search", q="title", k=5, user="ada")
    second = await shop.get("/search", q="title", k=5, user="ada", cursor=first.json()["next_cursor"])
    clicked(answers, "ada", second.json()["items"][0]["id"], second, "purchase")
    (query,) = (await report(shop, "queries"))["queries"]
    assert (query["intents"], query["clicked"], query["converted"]) == (1, 1, 1)
    assert (query["mean_position"], query["value"]) == (6, 20)


async def test_what_had_no_results_and_what_no_clicks(shop: Shop, answers: MemoryAnswers) -> None:
    await shop.get("/search", q="qwrtzpl", user="ada")
    await shop.get("/search", q="title 4", user="bob")
    found = await shop.get("/search", q="summer", user="cid")
    clicked(answers, "cid", found.json()["items"][0]["id"], found)
    assert [one["query"] for one in (await report(shop, "no-results"))["queries"]] == ["qwrtzpl"]
    assert [one["query"] for one in (await report(shop, "no-clicks"))["queries"]] == ["qwrtzpl", "title 4"]
    assert [one["query"] for one in (await report(shop, "queries", limit=1))["queries"]] == ["qwrtzpl"]
    assert (await report(shop, "queries", least=2))["queries"] == []


async def test_metrics_by_model_kind_and_day(shop: Shop, answers: MemoryAnswers) -> None:
    found = await shop.get("/recommend", user="ada")
    clicked(answers, "ada", found.json()["items"][0]["id"], found)
    clicked(answers, "ada", "no item of the answer", found)
    clicked(answers, "ada", found.json()["items"][1]["id"], found, "impression")
    await shop.get("/search", q="title")
    rows = (await report(shop, "metrics"))["metrics"]
    assert [(row["kind"], row["intents"], row["clicked"], row["users"]) for row in rows] == [
        ("recommend", 1, 1, 1),
        ("search", 1, 0, 0),
    ]
    assert {row["model"] for row in rows} == {"2025-11-20-a"}
    assert (await report(shop, "metrics", model="another"))["metrics"] == []
    assert (await report(shop, "metrics", last="2026-01-01"))["metrics"] == []


async def test_what_an_erased_user_did_is_taken_back(shop: Shop, answers: MemoryAnswers) -> None:
    await shop.get("/search", q="title", user="ada")
    await shop.get("/search", q="summer", user="bob")
    assert len((await report(shop, "queries"))["queries"]) == 2
    answers.erased.append(digest_of("ada"))
    assert [one["query"] for one in (await report(shop, "queries"))["queries"]] == ["summer"]


async def test_batches_are_nobodys_searches(shop: Shop) -> None:
    await shop.client.post("/batch", json=[{"kind": "search", "q": "title"}])
    assert (await report(shop, "queries"))["queries"] == []


async def test_users_are_digests(shop: Shop, settings: Settings) -> None:
    await shop.get("/search", q="title", user="somebody-with-a-name")
    await report(shop, "queries")
    assert settings.analytics is not None
    files = [file for file in settings.analytics.rglob("*") if file.is_file()]
    assert not [file for file in files if b"somebody" in file.read_bytes()]


@pytest.mark.parametrize("text", ["'; DROP TABLE answers; --", '"', "%", "\\", "a" * 900, "🏕️", "null"])
async def test_a_poisoned_query_is_a_text(shop: Shop, text: str) -> None:
    await shop.get("/search", q=text, user="ada")
    (query,) = (await report(shop, "queries"))["queries"]
    assert query["intents"] == 1
    assert len(query["query"]) <= 200
    assert (await report(shop, "metrics", model=text[:256]))["metrics"] == []


async def test_while_redis_is_away_answers_come_and_wait_to_be_counted(shop: Shop, answers: MemoryAnswers) -> None:
    answers.away = True
    assert (await shop.get("/search", q="title", user="ada")).status_code == 200
    assert (await report(shop, "queries"))["queries"] == []
    answers.away = False
    assert len((await report(shop, "queries"))["queries"]) == 1


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"first": "yesterday"}, "first"),
        ({"first": "2026-02-01", "last": "2026-01-01"}, "first"),
        ({"limit": 0}, "limit"),
    ],
)
async def test_days_that_are_none(shop: Shop, parameters: dict[str, object], field: str) -> None:
    answer = await shop.get("/analytics/queries", **parameters)
    assert field in str(assert_problem(answer, 422, "invalid_request")["detail"])


async def test_a_server_without_a_folder_says_how_to_have_one(
    settings: Settings, deployments: DeploymentManager
) -> None:
    plain = settings.model_copy(update={"analytics": None})
    app = create_memory_app(plain, lambda _: deployments)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            for name in ("queries", "no-results", "no-clicks", "metrics", "experiment"):
                answer = await client.get(f"/analytics/{name}")
                assert "--analytics FOLDER" in str(assert_problem(answer, 409, "no_analytics")["detail"])
