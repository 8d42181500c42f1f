"""Another model takes over."""

import asyncio
from pathlib import Path
from typing import cast

import pytest

from catalog.bundle.bundle import Bundle
from catalog.bundle.folder import current_bundle
from catalog.errors import BundleError
from server.core.errors import RolloutFailed, RolloutInProgress
from server.core.settings import Settings
from server.engine.errors import EngineError
from server.engine.protocol import RankableBundle, Ranking, RankRequest
from server.serving.manager import DeploymentManager
from tests.support.http_shop import Shop
from tests.support.problems import assert_problem
from tests.support.small_shop import NAMES, RecordingEngine, ShopBundle, publish_names

OLD, NEW = "2025-11-20-a", "2025-11-21-a"


class ModelEngine(RecordingEngine):
    """Remembers whose weights it has; `faulty` ones load and answer badly."""

    faulty = ""

    def __init__(self, version: str) -> None:
        super().__init__()
        self.loaded = version
        self.stopped = False
        self.slow = asyncio.Event()
        self.slow.set()

    async def rank(self, request: RankRequest) -> Ranking:
        await self.slow.wait()
        return await super().rank(request)

    async def reload(self, bundle: RankableBundle) -> None:
        self.loaded = cast(ShopBundle, bundle).version
        await super().reload(bundle)

    async def stop(self) -> None:
        self.stopped = True
        await super().stop()


@pytest.fixture(params=["surge", "recreate"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    publish_names(tmp_path, OLD, NEW)
    return Settings(
        bundles=tmp_path, answer_timeout_seconds=5, open_admin=True, rollout=request.param, guidance_timeout_ms=60_000
    )


@pytest.fixture
def engines() -> list[ModelEngine]:
    return []


@pytest.fixture
def deployments(settings: Settings, engines: list[ModelEngine], monkeypatch: pytest.MonkeyPatch) -> DeploymentManager:
    def make(bundle: Bundle, _: object) -> ModelEngine:
        engines.append(ModelEngine(bundle.version))
        return engines[-1]

    async def check(bundle: Bundle, engine: ModelEngine, _: object) -> None:
        assert engine.loaded == bundle.version
        if bundle.version == ModelEngine.faulty:
            raise EngineError("golden query 3: scores are 0.7 off")

    monkeypatch.setattr("server.serving.loader.warm_up_check", check)
    monkeypatch.setattr(ModelEngine, "faulty", "")
    return DeploymentManager(settings, lambda _, version: cast(Bundle, ShopBundle(version)), make)


async def model_of(shop: Shop) -> str:
    return str((await shop.get("/search", q="tent")).json()["model"])


async def test_activate_and_roll_back(shop: Shop, settings: Settings, engines: list[ModelEngine]) -> None:
    assert (await shop.get("/admin/models")).json() == {
        "current": OLD,
        "previous": None,
        "versions": [OLD, NEW],
        "traffic": {OLD: 100},
    }
    assert_problem(await shop.client.post("/admin/models/rollback"), 409, "activation_failed")
    body = (await shop.client.post(f"/admin/models/{NEW}/activate")).json()
    assert (body["model"], body["previous"]) == (NEW, OLD)
    assert await model_of(shop) == NEW
    assert current_bundle(settings.bundles).name == NEW
    await asyncio.sleep(0.01)
    if settings.rollout == "surge":
        assert [engine.stopped for engine in engines] == [True, False]
    else:
        assert [engine.loaded for engine in engines] == [NEW]
    assert (await shop.client.post("/admin/models/rollback")).json()["model"] == OLD
    assert await model_of(shop) == OLD
    assert (await shop.get("/admin/models")).json()["previous"] == NEW


async def test_no_request_fails_while_another_model_takes_over(shop: Shop) -> None:
    async def ask(until: asyncio.Event) -> set[str]:
        seen = set()
        while not until.is_set():
            response = await shop.get("/recommend", user="ada")
            assert response.status_code == 200
            assert len(response.json()["items"]) == 10
            seen.add(response.json()["model"])
            await asyncio.sleep(0)  # nothing else in here waits for anything
        return seen

    done = asyncio.Event()
    asking = [asyncio.create_task(ask(done)) for _ in range(8)]
    for version in (NEW, OLD, NEW):
        await asyncio.sleep(0.02)
        assert (await shop.client.post(f"/admin/models/{version}/activate")).status_code == 200
    await asyncio.sleep(0.02)
    done.set()
    for seen in await asyncio.gather(*asking):
        assert seen == {OLD, NEW}


async def test_requests_under_way_are_answered_by_the_model_they_came_to(
    shop: Shop, settings: Settings, engines: list[ModelEngine]
) -> None:
    engines[0].slow.clear()
    under_way = asyncio.create_task(shop.get("/search", q="tent"))
    await asyncio.sleep(0.02)
    activating = asyncio.create_task(shop.client.post(f"/admin/models/{NEW}/activate"))
    if settings.rollout == "surge":
        assert (await activating).status_code == 200
        assert not under_way.done()
    else:
        await asyncio.sleep(0.02)
        assert not activating.done()
    engines[0].slow.set()
    assert (await under_way).json()["model"] == OLD
    assert (await activating).status_code == 200
    await asyncio.sleep(0.01)
    assert engines[0].stopped is (settings.rollout == "surge")


async def test_pages_go_on_with_another_model(shop: Shop) -> None:
    first = (await shop.get("/search", q="tent", k=5)).json()
    assert (await shop.client.post(f"/admin/models/{NEW}/activate")).status_code == 200
    second = (await shop.get("/search", q="tent", k=200, cursor=first["next_cursor"])).json()
    assert (first["model"], second["model"]) == (OLD, NEW)
    shown = [item["id"] for page in (first, second) for item in page["items"]]
    assert len(shown) == len(set(shown)) == 28


async def test_a_model_that_does_not_prove_itself_is_not_served(
    shop: Shop, settings: Settings, engines: list[ModelEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ModelEngine, "faulty", NEW)
    await shop.client.delete("/items/item-9")
    await shop.client.put("/items/new", json={"title": "new"})
    body = assert_problem(await shop.client.post(f"/admin/models/{NEW}/activate"), 409, "activation_failed")
    assert "golden query 3" in str(body["detail"])
    assert f"{OLD} still is" in str(body["detail"])
    assert await model_of(shop) == OLD
    ids = await shop.ids("/search", q="tent", k=200)
    assert "item-9" not in ids
    assert "new" in ids
    assert current_bundle(settings.bundles).name == OLD
    assert engines[0].loaded == OLD
    assert [engine.stopped for engine in engines][1:] == ([True] if settings.rollout == "surge" else [])


async def test_whoever_answers_after_an_activation_is_guided(shop: Shop, engines: list[ModelEngine]) -> None:
    """Also a model that is brought back, as another did not prove itself."""
    for version, status in ((NEW, 409), (NEW, 200), (OLD, 200)):
        ModelEngine.faulty = version if status == 409 else ""
        assert (await shop.client.put("/items/new", json={"title": "new"})).status_code == 200
        assert (await shop.client.post(f"/admin/models/{version}/activate")).status_code == status
        answer = (await shop.get("/search", q="title 20", k=3)).json()
        assert answer["degraded"] is False
        assert answer["items"][0]["id"] == NAMES[20]


async def test_a_model_that_cannot_be_made_current_is_not_served(
    shop: Shop, settings: Settings, engines: list[ModelEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(bundles: Path, version: str) -> None:
        raise BundleError(f"{bundles} cannot be written")

    monkeypatch.setattr("catalog.bundle.source.activate", refuse)
    body = assert_problem(await shop.client.post(f"/admin/models/{NEW}/activate"), 409, "activation_failed")
    assert "cannot be written" in str(body["detail"])
    assert f"{OLD} still is" in str(body["detail"])
    assert await model_of(shop) == OLD
    assert current_bundle(settings.bundles).name == OLD
    assert engines[0].loaded == OLD
    assert [engine.stopped for engine in engines][1:] == ([True] if settings.rollout == "surge" else [])


async def test_changes_to_the_catalog_are_taken_over(shop: Shop) -> None:
    await shop.client.delete("/items/item-9")
    await shop.client.put("/items/new", json={"title": "new"})
    for version in (NEW, OLD):
        await shop.client.post(f"/admin/models/{version}/activate")
        ids = await shop.ids("/search", q="tent", k=200)
        assert "item-9" not in ids
        assert "new" in ids


async def test_a_change_made_while_another_model_is_loading_is_not_lost(
    shop: Shop, engines: list[ModelEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    loading, go_on = asyncio.Event(), asyncio.Event()

    async def slow(bundle: Bundle, engine: ModelEngine, _: object) -> None:
        loading.set()
        await go_on.wait()

    monkeypatch.setattr("server.serving.loader.warm_up_check", slow)
    activating = asyncio.create_task(shop.client.post(f"/admin/models/{NEW}/activate"))
    await loading.wait()
    changing = asyncio.create_task(shop.client.put("/items/new", json={"title": "new"}))
    await asyncio.sleep(0.02)
    go_on.set()
    assert (await changing).status_code == (await activating).status_code == 200
    assert await model_of(shop) == NEW
    assert "new" in await shop.ids("/search", q="tent", k=200)


async def test_one_activation_at_a_time(deployments: DeploymentManager) -> None:
    await deployments.start()
    first = asyncio.create_task(deployments.activate(NEW))
    await asyncio.sleep(0)
    with pytest.raises(RolloutInProgress):
        await deployments.activate(OLD)
    assert (await first).version == NEW
    await deployments.stop()


async def test_a_bundle_that_is_not_there(shop: Shop, deployments: DeploymentManager) -> None:
    assert_problem(await shop.client.post("/admin/models/2020/activate"), 404, "model_not_found")
    assert_problem(await shop.client.post("/admin/models/..%2F..%2Fetc/activate"), 404, "not_found")
    with pytest.raises(RolloutFailed, match="nothing to roll back to"):
        await deployments.roll_back()
