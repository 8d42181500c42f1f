"""What one person does changes what another finds, on every server of one Redis; and an erasure takes it back."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
import pytest

from catalog.priors.weights import USUAL_WEIGHTS, PriorWeights
from server.app import create_app
from server.core.settings import Settings
from tests.support import small_shop
from tests.support.http_shop import Shop
from tests.support.small_shop import NAMES, make_deployments, make_manifest, patient_settings, publish_names
from tests.support.waiting import until

EVENT = ("user_id", "type", "item_id")

pytestmark = pytest.mark.integration


@asynccontextmanager
async def server(settings: Settings) -> AsyncIterator[Shop]:
    app = create_app(settings, deploy=make_deployments)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            yield Shop(client)


@pytest.fixture
def settings(tmp_path: Path, redis_url: str) -> Settings:
    patient = {"redis_read_timeout_ms": 20_000, "redis_write_timeout_ms": 20_000}  # a busy machine is no fault
    return patient_settings(tmp_path).model_copy(update={"redis": redis_url, "open_admin": True, **patient})


async def score(shop: Shop, item_id: str) -> float:
    response = await shop.get("/search", q="something to lie on", candidates=item_id, k=1)
    assert response.status_code == 200, response.text
    (item,) = response.json()["items"]
    return float(item["score"])


async def test_an_event_counts_for_everybody_until_its_user_is_erased(settings: Settings) -> None:
    async with AsyncExitStack() as stack:
        one, other = [await stack.enter_async_context(server(settings)) for _ in range(2)]
        before = await score(other, NAMES[9])
        event = {"user_id": "ada", "type": "click", "item_id": NAMES[9], "query": "Something to lie on"}
        assert (await one.post([event])).status_code == 202
        for shop in (one, other):
            await until(lambda shop=shop: differs(shop, before))  # type: ignore[misc]
        with_click = await score(other, NAMES[9])
        assert with_click > before
        assert await score(one, NAMES[9]) == with_click
        late = await stack.enter_async_context(server(settings))
        assert await score(late, NAMES[9]) == with_click, "a server that starts counts the log before it answers"
        assert (await other.client.delete("/users/ada")).status_code == 200
        for shop in (one, other, late):
            await until(lambda shop=shop: equals(shop, before))  # type: ignore[misc]


async def test_what_one_person_takes_another_finds_first_for_the_same_words(settings: Settings) -> None:
    async with AsyncExitStack() as stack:
        one, other = [await stack.enter_async_context(server(settings)) for _ in range(2)]
        asked = {"q": "something to lie on", "user": "bob", "k": 30}
        before = await other.ids("/search", **asked)
        wanted = before[3]
        events = [
            {"user_id": f"user {number}", "type": "click", "item_id": wanted, "query": "something to lie on"}
            for number in range(3)
        ]
        assert (await one.post(events)).status_code == 202
        for shop in (one, other):
            await until(lambda shop=shop: finds_first(shop, wanted, asked))  # type: ignore[misc]
            assert set(await shop.ids("/search", **asked)) == set(before)
        for number in range(3):
            assert (await other.client.delete(f"/users/user {number}")).status_code == 200
        for shop in (one, other):
            await until(lambda shop=shop: finds(shop, before, asked))  # type: ignore[misc]


async def finds_first(shop: Shop, item_id: str, asked: dict[str, object]) -> bool:
    return (await shop.ids("/search", **asked))[0] == item_id


async def finds(shop: Shop, ids: list[str], asked: dict[str, object]) -> bool:
    return await shop.ids("/search", **asked) == ids


@pytest.mark.parametrize("rollout", ["surge", "recreate"])
async def test_a_model_that_comes_back_counts_what_other_servers_took_before_it_answers(
    settings: Settings, rollout: str
) -> None:
    publish_names(settings.bundles, "2025-11-21-a")
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(server(settings))
        other = await stack.enter_async_context(server(settings.model_copy(update={"rollout": rollout})))
        before = await score(other, NAMES[9])
        assert (await other.client.post("/admin/models/2025-11-20-a/activate")).status_code == 200
        event = {"user_id": "ada", "type": "click", "item_id": NAMES[9], "query": "Something to lie on"}
        for change in ("rollback", "2025-11-20-a/activate", "2025-11-20-a/activate"):
            assert (await one.post([event])).status_code == 202
            assert (await other.client.post(f"/admin/models/{change}")).status_code == 200
            assert await score(other, NAMES[9]) > before
        assert (await one.client.delete("/users/ada")).status_code == 200
        assert (await other.client.post("/admin/models/rollback")).status_code == 200
        assert await score(other, NAMES[9]) == before


async def differs(shop: Shop, before: float) -> bool:
    return await score(shop, NAMES[9]) != before


async def equals(shop: Shop, before: float) -> bool:
    return await score(shop, NAMES[9]) == before


async def test_what_was_shown_and_left_falls_on_every_server_and_after_a_restart(settings: Settings) -> None:
    asked = {"user": "ada", "k": 30, "exclude_seen": "false"}
    shown = [{"user_id": "ada", "type": "impression", "timestamp": 1_000 * int(time.time()) - n} for n in range(5)]
    async with AsyncExitStack() as stack:
        one, other = [await stack.enter_async_context(server(settings)) for _ in range(2)]
        before = await other.ids("/recommend", **asked)
        assert (await one.post([{**row, "item_id": before[0]} for row in shown])).status_code == 202
        after = await other.ids("/recommend", **asked)
        assert after.index(before[0]) > 1
        assert [item for item in after if item != before[0]] == before[1:]
    async with server(settings) as late:
        assert await late.ids("/recommend", **asked) == after
        assert (await late.client.delete("/users/ada")).status_code == 200
        assert await late.ids("/recommend", **asked) == before


@pytest.mark.parametrize(("weights", "first"), [({}, NAMES[8]), ({"purchase": 5}, NAMES[9]), ({"view": 0}, NAMES[9])])
async def test_the_weight_of_a_purchase_decides_what_strangers_are_recommended(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, weights: dict[str, float], first: str
) -> None:
    manifest = make_manifest().model_copy(update={"settings": {"events": {"weights": weights}}})
    monkeypatch.setattr(small_shop, "make_manifest", lambda: manifest)
    popular = dict.fromkeys(USUAL_WEIGHTS, PriorWeights.of(0.0, {"popularity": 1.0}))
    monkeypatch.setattr(small_shop, "USUAL_WEIGHTS", popular)
    rows = [(f"viewer {n}", "view", NAMES[8]) for n in range(3)] + [
        (f"buyer {n}", "purchase", NAMES[9]) for n in (1, 2)
    ]
    async with server(settings) as shop:
        assert (await shop.post([dict(zip(EVENT, row, strict=True)) for row in rows])).status_code == 202

        async def is_counted() -> bool:
            told = (await shop.get("/recommend", user="stranger", k=30, explain=True)).json()["items"]
            popular = [item["id"] for item in told if "popularity" in item["explanation"]["shares"]]
            return popular == [first] if 0 in weights.values() else popular[:1] == [first] and len(popular) == 2

        await until(is_counted)
        assert (await shop.ids("/recommend", user="stranger", k=1)) == [first]


async def test_a_new_item_is_found_by_its_words_on_every_server(settings: Settings) -> None:
    async with AsyncExitStack() as stack:
        one, other = [await stack.enter_async_context(server(settings)) for _ in range(2)]
        title = "hammock of the south sea"
        assert (await one.client.put("/items/aaa", json={"title": title})).status_code == 200
        assert (await one.ids("/search", q=title, k=3))[0] == "aaa"

        async def found() -> bool:
            return (await other.ids("/search", q=title, k=3))[0] == "aaa"

        await until(found)
        assert (await other.client.delete("/items/aaa")).status_code == 200
        assert "aaa" not in await other.ids("/search", q=title, k=30)
