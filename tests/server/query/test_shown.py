"""What was shown and left is listed lower for whoever left it, and for nobody else."""

import time
from typing import cast

import numpy as np
import pytest

from catalog.bundle.bundle import Bundle
from catalog.priors.live.shown import HALF_LIFE_MS, MAX_IMPRESSIONS
from catalog.priors.weights import USUAL_WEIGHTS, PriorWeights
from server.core.settings import Settings
from server.serving.manager import DeploymentManager
from tests.support.http_shop import Shop
from tests.support.memory_history import MemoryHistory
from tests.support.small_shop import NAMES, RecordingEngine, ShopBundle

EVERYTHING = {"k": 30, "explain": True, "exclude_seen": False}
FIVE = {"/recommend": -3 * np.log(6) / np.log(21), "/search": -1 * np.log(6) / np.log(21)}
PATHS = {"/recommend": {}, "/search": {"q": "title", "correct": "false"}}


async def answer(shop: Shop, path: str, user: str = "ada", **more: object) -> dict[str, dict]:
    """The items by their ids, in the order of the answer."""
    response = await shop.get(path, user=user, **PATHS[path], **EVERYTHING, **more)
    assert response.status_code == 200, response.text
    return {item["id"]: item for item in response.json()["items"]}


def five(item: str) -> list[dict[str, object]]:
    """Five impressions, of five moments of the last seconds."""
    return [{"user_id": "ada", "type": "impression", "item_id": item, "timestamp": now() - 10 * n} for n in range(1, 6)]


def now() -> int:
    return int(1_000 * time.time())


@pytest.mark.parametrize("path", PATHS)
async def test_an_item_that_was_shown_five_times_and_left_is_listed_lower(shop: Shop, path: str) -> None:
    before = await answer(shop, path)
    first = next(iter(before))
    assert (await shop.post(five(first))).status_code == 202
    after = await answer(shop, path)
    assert list(after).index(first) > 0
    assert [item for item in after if item != first] == [item for item in before if item != first]
    assert after[first]["score"] - before[first]["score"] == pytest.approx(FIVE[path], abs=1e-3)
    assert after[first]["explanation"]["shares"]["shown"] == pytest.approx(FIVE[path], abs=1e-3)
    assert sum(after[first]["explanation"]["shares"].values()) == pytest.approx(after[first]["score"], abs=1e-3)
    for item, own in after.items():
        assert item == first or own["explanation"]["shares"] == before[item]["explanation"]["shares"]
        assert own["reason"]["source"] != "shown"
    assert list(await answer(shop, path, user="bob")) == list(await answer(shop, path, user="cleo")) == list(before)
    alone = {"guidance": False}
    assert await answer(shop, path, **alone) == await answer(shop, path, user="bob", **alone)


async def test_it_ends_when_the_user_takes_the_item_and_when_the_user_is_erased(shop: Shop) -> None:
    assert (await shop.post(five(NAMES[9]) + five(NAMES[10]))).status_code == 202
    shares = {item: own["explanation"]["shares"] for item, own in (await answer(shop, "/recommend")).items()}
    assert {item for item, own in shares.items() if "shown" in own} == {NAMES[9], NAMES[10]}
    await shop.post({"user_id": "ada", "type": "click", "item_id": NAMES[9]})
    shares = {item: own["explanation"]["shares"] for item, own in (await answer(shop, "/recommend")).items()}
    assert {item for item, own in shares.items() if "shown" in own} == {NAMES[10]}
    assert (await shop.client.delete("/users/ada")).status_code == 200
    assert await answer(shop, "/recommend") == await answer(shop, "/recommend", user="bob")


async def test_it_counts_the_less_the_longer_ago_it_was(shop: Shop) -> None:
    old = [{**row, "timestamp": cast("int", row["timestamp"]) - 2 * HALF_LIFE_MS} for row in five(NAMES[9])]
    assert (await shop.post(old)).status_code == 202
    share = (await answer(shop, "/recommend"))[NAMES[9]]["explanation"]["shares"]["shown"]
    assert share == pytest.approx(-3 * np.log(1 + 5 / 4) / np.log(21), abs=1e-3)


async def test_bad_impressions_change_nothing(shop: Shop, history: MemoryHistory) -> None:
    """Of items that are none, with fields that there are not, by the thousand, and of tomorrow."""
    before = await answer(shop, "/recommend")
    unknown = (await shop.post(five("no such item"))).json()
    assert [row["known"] for row in unknown["accepted"]] == [False] * 5
    assert await answer(shop, "/recommend") == before
    refused = (await shop.post([{**five(NAMES[9])[0], "position": 3}, {**five(NAMES[9])[0], "item_id": ""}])).json()
    assert [(row["index"], row["field"], row["code"]) for row in refused["rejected"]] == [
        (0, "position", "extra_forbidden"),
        (1, "item_id", "empty_id"),
    ]
    assert await answer(shop, "/recommend") == before
    many = [{**five(NAMES[9])[0], "timestamp": now() + 60_000 + n} for n in range(1_000)]
    assert (await shop.post(many)).status_code == 202
    assert len((await history.read("ada")).impressions) == MAX_IMPRESSIONS
    share = (await answer(shop, "/recommend"))[NAMES[9]]["explanation"]["shares"]["shown"]
    assert share == pytest.approx(-3.0), "20 or more are enough, and what is of later counts as of now"


async def test_of_an_item_that_comes_later_what_was_shown_counts_from_then_on(shop: Shop) -> None:
    await shop.post(five("new"))
    assert (await shop.client.put("/items/new", json={"title": "Title of a new one"})).status_code == 200
    assert "shown" in (await answer(shop, "/recommend"))["new"]["explanation"]["shares"]


class OlderBundle(ShopBundle):
    """Of before there were impressions: its weights name none."""

    def __post_init__(self) -> None:
        super().__post_init__()
        told = {task: own.as_json() for task, own in USUAL_WEIGHTS.items()}
        self.prior_weights = {
            task: PriorWeights.from_json({name: value for name, value in own.items() if name != "shown"})
            for task, own in told.items()
        }


class TestOlderBundles:
    @pytest.fixture
    def deployments(self, settings: Settings, engine: RecordingEngine) -> DeploymentManager:
        return DeploymentManager(settings, lambda _, version: cast(Bundle, OlderBundle(version)), lambda *_: engine)

    @pytest.mark.parametrize("path", PATHS)
    async def test_they_answer_as_they_did(self, shop: Shop, path: str) -> None:
        before = await answer(shop, path)
        await shop.post(five(NAMES[9]) + five(next(iter(before))))
        assert await answer(shop, path) == before
