"""GET /admin/models/{version}: what a bundle says of itself, and how far it is on its way to answering."""

import asyncio
from typing import Any

import pytest

from catalog.bundle.bundle import Bundle
from server.core.settings import Settings
from server.engine.errors import EngineError
from tests.support.http_shop import Shop
from tests.support.problems import assert_problem
from tests.support.small_shop import NAMES, RecordingEngine, publish_report

OLD, NEW = "2025-11-20-a", "2025-11-21-a"


async def told(shop: Shop, version: str) -> dict[str, Any]:
    answer = await shop.get(f"/admin/models/{version}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_the_report_with_baselines_the_manifest_and_the_golden_queries(shop: Shop, settings: Settings) -> None:
    publish_report(settings.bundles / NEW)
    found = await told(shop, NEW)
    assert (found["version"], found["manifest"]["method"], found["manifest"]["items"]) == (NEW, "gems", len(NAMES))
    assert found["manifest"]["code_sizes"] == [4, 8]
    tasks = found["report"]["tasks"]
    assert tasks["search"]["guided"] == {
        "questions": 40,
        "values": {"ndcg@10": 0.8, "recall@10": 0.75},
        "intervals": {"ndcg@10": [0.4, 0.6]},
    }
    assert (set(tasks["search"]), set(tasks["recommendation"])) == ({"model", "guided", "popularity"}, {"model"})
    assert found["golden"] == {"queries": 1, "width": 50, "normalize": "codes", "tolerance": 0.02}


async def test_a_bundle_without_report_and_golden_queries(shop: Shop) -> None:
    found = await told(shop, OLD)
    assert (found["role"], found["weight"], found["report"], found["golden"]) == ("current", 100, None, None)
    assert (found["rollout"], found["failure"]) == (None, None)


async def test_its_role_follows_what_is_served(shop: Shop) -> None:
    assert (await told(shop, NEW))["role"] is None
    await shop.client.put("/admin/traffic", json={"weights": {OLD: 3, NEW: 1}})
    assert [(found["role"], found["weight"]) for found in [await told(shop, OLD), await told(shop, NEW)]] == [
        ("current", 3),
        ("sharing", 1),
    ]
    await shop.client.post(f"/admin/models/{NEW}/activate")
    assert [(found["role"], found["weight"]) for found in [await told(shop, OLD), await told(shop, NEW)]] == [
        ("previous", None),
        ("current", 100),
    ]


async def test_the_steps_of_a_rollout_and_why_it_failed(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    reached, go_on = asyncio.Event(), asyncio.Event()
    faults = ["scores are 0.7 off"]

    async def check(bundle: Bundle, engine: RecordingEngine, _: object) -> None:
        reached.set()
        await go_on.wait()
        if faults:
            raise EngineError(faults.pop())

    monkeypatch.setattr("server.serving.loader.warm_up_check", check)
    for failure in ("0.7 off", None):
        reached.clear()
        go_on.clear()
        activating = asyncio.create_task(shop.client.post(f"/admin/models/{NEW}/activate"))
        await reached.wait()
        under_way = await told(shop, NEW)
        assert (under_way["rollout"]["step"], under_way["failure"]) == ("checking", None)
        assert under_way["rollout"]["since"] > 1_700_000_000_000
        assert (await told(shop, OLD))["rollout"] is None
        go_on.set()
        assert (await activating).status_code == (200 if failure is None else 409)
        ended = await told(shop, NEW)
        assert ended["rollout"] is None
        assert failure is None if ended["failure"] is None else str(failure) in ended["failure"]["reason"]


async def test_a_split_that_fails_says_so_of_the_version_that_did_not_load(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> None:
        raise EngineError("no memory")

    monkeypatch.setattr("server.serving.loader.warm_up_check", refuse)
    assert (await shop.client.put("/admin/traffic", json={"weights": {OLD: 3, NEW: 1}})).status_code == 409
    assert "no memory" in (await told(shop, NEW))["failure"]["reason"]
    assert (await told(shop, OLD))["failure"] is None


async def test_versions_that_are_not_there(shop: Shop) -> None:
    assert_problem(await shop.get("/admin/models/2020"), 404, "model_not_found")
    assert_problem(await shop.get("/admin/models/..%2F..%2Fetc"), 404, "not_found")


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("manifest.json", "{}"),
        ("report.json", "[]"),
        ("report.json", '{"protocol": "full"}'),
        ("catalog/golden.json", "no JSON"),
    ],
)
async def test_a_damaged_file_is_named(shop: Shop, settings: Settings, file: str, content: str) -> None:
    publish_report(settings.bundles / NEW)
    (settings.bundles / NEW / file).write_text(content)
    body = assert_problem(await shop.get(f"/admin/models/{NEW}"), 409, "bundle_unreadable")
    assert file in str(body["detail"])
