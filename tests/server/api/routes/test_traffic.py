"""Shares of the requests: stable, in proportion, and changed without a failed request."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from catalog.bundle.bundle import Bundle
from catalog.bundle.folder import current_bundle
from catalog.data.changes import Change
from server.core.settings import Settings
from server.engine.errors import EngineError
from server.serving.manager import DeploymentManager
from server.serving.router import TrafficSplit
from tests.support.http_shop import Shop
from tests.support.problems import assert_problem
from tests.support.small_shop import RecordingEngine, ShopBundle, publish_names

OLD, NEW, THIRD = "2025-11-20-a", "2025-11-21-a", "2025-11-22-a"
USERS = [f"user-{number}" for number in range(2000)]


class OwnEngine(RecordingEngine):
    def __init__(self, version: str) -> None:
        super().__init__()
        self.version = version
        self.stopped = False

    async def stop(self) -> None:
        self.stopped = True
        await super().stop()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    publish_names(tmp_path, OLD, NEW, THIRD)
    return Settings(bundles=tmp_path, answer_timeout_seconds=5, open_admin=True)


@pytest.fixture
def engines() -> list[OwnEngine]:
    return []


@pytest.fixture
def deployments(settings: Settings, engines: list[OwnEngine]) -> DeploymentManager:
    def make(bundle: Bundle, _: object) -> OwnEngine:
        engines.append(OwnEngine(bundle.version))
        return engines[-1]

    return DeploymentManager(settings, lambda _, version: cast(Bundle, ShopBundle(version)), make)


async def share(shop: Shop, **weights: int) -> None:
    named = {"old": OLD, "new": NEW, "third": THIRD}
    body = {"weights": {named[name]: weight for name, weight in weights.items()}}
    response = await shop.client.put("/admin/traffic", json=body)
    assert response.status_code == 200, response.text
    assert response.json()["traffic"] == body["weights"]


async def model_for(shop: Shop, user: str) -> str:
    return str((await shop.get("/recommend", user=user, k=1)).json()["model"])


@given(st.dictionaries(st.text(min_size=1), st.integers(1, 1000), min_size=1, max_size=4), st.text())
def test_a_key_always_gets_the_same_version(weights: dict[str, int], key: str) -> None:
    chosen = TrafficSplit(weights).version_of(key)
    assert chosen in weights
    assert TrafficSplit(dict(reversed(weights.items()))).version_of(key) == chosen


@pytest.mark.parametrize("share_of_new", [1, 10, 50, 90])
def test_versions_answer_in_proportion(share_of_new: int) -> None:
    traffic = TrafficSplit({OLD: 100 - share_of_new, NEW: share_of_new})
    answered = sum(traffic.version_of(user) == NEW for user in USERS)
    expected = len(USERS) * share_of_new / 100
    deviation = (expected * (1 - share_of_new / 100)) ** 0.5
    assert abs(answered - expected) < 4 * deviation


def test_whoever_had_the_new_model_keeps_it_when_its_share_grows() -> None:
    before, after = TrafficSplit({OLD: 90, NEW: 10}), TrafficSplit({OLD: 60, NEW: 40})
    assert all(after.version_of(user) == NEW for user in USERS if before.version_of(user) == NEW)


def test_another_pair_of_models_deals_the_users_anew() -> None:
    first, second = TrafficSplit({OLD: 1, NEW: 1}), TrafficSplit({NEW: 1, THIRD: 1})
    both = Counter((first.version_of(user), second.version_of(user)) for user in USERS)
    assert min(both.values()) > len(USERS) / 5


async def test_two_models_answer_each_their_users(shop: Shop, engines: list[OwnEngine]) -> None:
    await share(shop, old=50, new=50)
    assert [engine.version for engine in engines] == [OLD, NEW]
    dealt = {user: await model_for(shop, user) for user in USERS[:60]}
    assert set(dealt.values()) == {OLD, NEW}
    assert {user: await model_for(shop, user) for user in dealt} == dealt
    traffic = TrafficSplit({OLD: 50, NEW: 50})
    assert dealt == {user: traffic.version_of(user) for user in dealt}
    anonymous = {(await shop.get("/search", q="tent", k=1)).json()["model"] for _ in range(60)}
    assert anonymous == {OLD, NEW}, "without a user the request's id decides"
    listed = (await shop.get("/admin/models")).json()
    assert (listed["current"], listed["traffic"]) == (OLD, {OLD: 50, NEW: 50})


async def test_no_request_fails_while_shares_change(shop: Shop) -> None:
    async def ask(user: str, until: asyncio.Event) -> set[str]:
        seen = set()
        while not until.is_set():
            response = await shop.get("/recommend", user=user)
            assert response.status_code == 200
            seen.add(response.json()["model"])
            await asyncio.sleep(0)
        return seen

    done = asyncio.Event()
    asking = [asyncio.create_task(ask(user, done)) for user in USERS[:16]]
    await share(shop, old=1, new=1)
    await asyncio.sleep(0.02)
    await share(shop, old=1, new=1, third=1)
    await asyncio.sleep(0.02)
    await share(shop, old=1, third=3)
    await asyncio.sleep(0.02)
    assert (await shop.client.delete("/admin/traffic")).json()["traffic"] == {OLD: 100}
    done.set()
    assert set.union(*await asyncio.gather(*asking)) == {OLD, NEW, THIRD}


async def test_engines_that_answer_no_more_are_ended(shop: Shop, engines: list[OwnEngine]) -> None:
    await share(shop, old=1, new=1)
    await share(shop, old=1, third=1)
    await asyncio.sleep(0.01)
    assert {engine.version: engine.stopped for engine in engines} == {OLD: False, NEW: True, THIRD: False}
    await shop.client.delete("/admin/traffic")
    await asyncio.sleep(0.01)
    assert [engine.stopped for engine in engines] == [False, True, True]
    assert (await shop.client.delete("/admin/traffic")).status_code == 200, "repeating it is harmless"


async def test_an_activation_ends_it_and_takes_the_engine_that_runs(
    shop: Shop, settings: Settings, engines: list[OwnEngine]
) -> None:
    await share(shop, old=1, new=1)
    assert (await shop.client.post(f"/admin/models/{NEW}/activate")).status_code == 200
    await asyncio.sleep(0.01)
    assert {engine.version: engine.stopped for engine in engines} == {OLD: True, NEW: False}
    assert {await model_for(shop, user) for user in USERS[:20]} == {NEW}
    assert (await shop.get("/admin/models")).json()["traffic"] == {NEW: 100}
    assert current_bundle(settings.bundles).name == NEW


async def test_a_change_of_items_reaches_every_model(shop: Shop) -> None:
    await shop.client.delete("/items/item-9")
    await share(shop, old=1, new=1)
    await shop.client.put("/items/new", json={"title": "new"})
    for user in USERS[:20]:
        found = await shop.ids("/recommend", user=user, k=200)
        assert "item-9" not in found
        assert "new" in found


async def test_a_change_made_while_a_model_is_loading_is_not_lost(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    loading, go_on = asyncio.Event(), asyncio.Event()

    async def slow(*_: object) -> None:
        loading.set()
        await go_on.wait()

    monkeypatch.setattr("server.serving.loader.warm_up_check", slow)
    sharing = asyncio.create_task(share(shop, old=1, new=9))
    await loading.wait()
    assert (await shop.client.put("/items/new", json={"title": "new"})).status_code == 200
    go_on.set()
    await sharing
    for user in USERS[:20]:
        assert "new" in await shop.ids("/recommend", user=user, k=200)


async def test_a_model_that_cannot_take_a_change_answers_no_more(
    shop: Shop, deployments: DeploymentManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    await share(shop, old=1, new=1)
    beside = deployments.router.table.deployments[1]

    async def refuse(_: Sequence[Change], *others: object) -> None:
        raise EngineError("the index is full")

    monkeypatch.setattr(beside.catalog, "apply", refuse)
    assert (await shop.client.put("/items/new", json={"title": "new"})).status_code == 200
    assert (await shop.get("/admin/models")).json()["traffic"] == {OLD: 100}
    assert {await model_for(shop, user) for user in USERS[:20]} == {OLD}


async def test_a_model_that_does_not_prove_itself_gets_no_requests(
    shop: Shop, engines: list[OwnEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> None:
        raise EngineError("golden query 3: scores are 0.7 off")

    monkeypatch.setattr("server.serving.loader.warm_up_check", refuse)
    refused = await shop.client.put("/admin/traffic", json={"weights": {OLD: 1, NEW: 1}})
    assert "golden query 3" in str(assert_problem(refused, 409, "activation_failed")["detail"])
    assert (await shop.get("/admin/models")).json()["traffic"] == {OLD: 100}
    assert engines[-1].stopped
    assert NEW not in (await shop.get("/metrics")).text


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"weights": {OLD: 1, "2020": 1}}, 404, "model_not_found"),
        ({"weights": {NEW: 1, THIRD: 1}}, 409, "activation_failed"),
        ({"weights": {OLD: 1}}, 422, "invalid_request"),
        ({"weights": {OLD: 1, NEW: 0}}, 422, "invalid_request"),
        ({"weights": {OLD: 1, NEW: 0.5}}, 422, "invalid_request"),
        ({"weights": {str(version): 1 for version in range(5)}}, 422, "invalid_request"),
        ({"shares": {}}, 422, "invalid_request"),
        ([], 422, "invalid_request"),
    ],
)
async def test_shares_that_are_refused(shop: Shop, body: object, status: int, code: str) -> None:
    assert_problem(await shop.client.put("/admin/traffic", json=body), status, code)


async def test_a_server_that_loads_in_place_says_why_it_cannot(tmp_path: Path, deployments: DeploymentManager) -> None:
    settings = Settings(bundles=tmp_path, rollout="recreate")
    alone = DeploymentManager(settings, lambda _, v: cast(Bundle, ShopBundle(v)), lambda b, _: OwnEngine(b.version))
    await alone.start()
    with pytest.raises(Exception, match="--rollout surge"):
        await alone.share({OLD: 1, NEW: 1})
    await alone.stop()


async def test_metrics_tell_who_answered_and_forget_who_left(shop: Shop) -> None:
    await share(shop, old=1, new=1)
    before = answers()
    for user in USERS[:40]:
        await model_for(shop, user)
    gained = {version: answers()[version] - before[version] for version in (OLD, NEW)}
    traffic = TrafficSplit({OLD: 1, NEW: 1})
    assert gained == Counter(traffic.version_of(user) for user in USERS[:40])
    assert REGISTRY.get_sample_value("gemserve_traffic_weight", {"model": NEW}) == 1
    await shop.client.delete("/admin/traffic")
    await asyncio.sleep(0.01)
    assert NEW not in (await shop.get("/metrics")).text


def answers() -> Counter[str]:
    found: Counter[str] = Counter()
    for family in REGISTRY.collect():
        for sample in family.samples:
            if sample.name == "gemserve_answers_total":
                found[sample.labels["model"]] += int(sample.value)
    return found
