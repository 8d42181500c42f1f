"""Relevance: how likely an item is what the question wants, where a bundle has learned it."""

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import cast

import pytest

from catalog.bundle.bundle import Bundle
from catalog.search.calibration import UNCALIBRATED, TaskCalibration
from catalog.text.prompts import Task
from server.core.settings import Settings
from server.serving.manager import DeploymentManager
from tests.support.http_shop import Shop
from tests.support.small_shop import CALIBRATIONS, NAMES, RecordingEngine, ShopBundle

KINDS = [
    ("/search", {"q": "title 7"}),
    ("/search", {"q": "title 7", "guidance": False}),
    ("/recommend", {"user": "ada"}),
    ("/recommend", {"user": "stranger", "guidance": False}),
    ("/items/item-9/similar", {}),
]


async def answer(shop: Shop, path: str, **parameters: object) -> list[dict[str, float]]:
    response = await shop.get(path, **parameters)
    assert response.status_code == 200, response.text
    return cast(list[dict[str, float]], response.json()["items"])


async def relevances(shop: Shop, path: str, **parameters: object) -> dict[object, float]:
    return {item["id"]: item["relevance"] for item in await answer(shop, path, **parameters)}


@pytest.mark.parametrize(("path", "parameters"), KINDS, ids=str)
async def test_every_kind_of_answer_has_them_and_they_never_rise(
    shop: Shop, path: str, parameters: dict[str, object]
) -> None:
    await shop.saw("ada", NAMES[3])
    found = list((await relevances(shop, path, k=20, **parameters)).values())
    assert found == sorted(found, reverse=True)
    assert all(0 <= relevance <= 1 for relevance in found)
    assert len(set(found)) > 1


@pytest.mark.parametrize(("path", "parameters"), KINDS, ids=str)
async def test_of_one_question_it_follows_from_the_score_whatever_else_is_asked_for(
    shop: Shop, path: str, parameters: dict[str, object]
) -> None:
    """However many are shown, on a page behind, among candidates, with a filter, and above a score."""
    await shop.saw("ada", NAMES[3])
    whole = await answer(shop, path, k=12, **parameters)
    asked: list[dict[str, object]] = [
        {"k": 1},
        {"k": 4, "filter": "price >= 9"},
        {"candidates": [item["id"] for item in whole[5:8]]},
        {"min_score": whole[3]["score"] - 1e-5},
        {"cursor": (await shop.get(path, k=6, **parameters)).json()["next_cursor"]},
    ]
    told = [whole, *[await answer(shop, path, **parameters, **more) for more in asked]]
    assert [len(items) for items in told] == [12, 1, 4, 3, 4, 10]
    best_first = sorted((item for items in told for item in items), key=lambda item: -item["score"])
    for better, worse in pairwise(best_first):
        assert better["relevance"] >= worse["relevance"]
        if better["score"] == worse["score"]:
            assert better["relevance"] == worse["relevance"]


async def test_without_guidance_it_is_calibrated_on_the_score_of_the_model(shop: Shop) -> None:
    own = CALIBRATIONS["search"].model
    assert own is not None
    for item in await answer(shop, "/search", q="tent", k=5, guidance=False):
        expected = 1 / (1 + math.exp(-(own.score * item["score"] + own.offset)))
        assert item["relevance"] == pytest.approx(expected, abs=2e-6)


async def test_the_item_that_the_query_names_is_likelier_than_all_others(shop: Shop) -> None:
    found = await relevances(shop, "/search", q=NAMES[7], k=5)
    first, second = list(found.items())[:2]
    assert first[0] == NAMES[7]
    assert first[1] > 0.9 > second[1]


@pytest.mark.parametrize("text", ["qqqq", "zzzzz wwwww", "日本語", "!!!", "xqzk! -vvvv"])
async def test_where_nothing_fits_no_item_is_likelier_than_a_usual_one(shop: Shop, text: str) -> None:
    guided = CALIBRATIONS["search"].guided
    assert guided is not None
    body = (await shop.get("/search", q=text, correct=False, k=10)).json()
    assert body["fit"] == "none"
    assert all(item["relevance"] <= guided.usual for item in body["items"])


async def test_an_answer_without_its_prior_is_that_of_the_model(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = await relevances(shop, "/search", q="title 7", guidance=False)
    monkeypatch.setattr("server.retrieval.priors.source.make_prior", lambda *_, **__: 1 / 0)
    body = (await shop.get("/search", q="title 7")).json()
    assert body["degraded"] is True
    assert {item["id"]: item["relevance"] for item in body["items"]} == alone


class TestUncalibrated:
    """A bundle of before, or of few events."""

    calibrations: Mapping[Task, TaskCalibration] = UNCALIBRATED

    @pytest.fixture
    def deployments(self, settings: Settings, engine: RecordingEngine) -> DeploymentManager:
        def opened(_: object, version: str) -> Bundle:
            return cast(Bundle, ShopBundle(version, calibrations=self.calibrations))

        return DeploymentManager(settings, opened, lambda *_: engine)

    @pytest.mark.parametrize(("path", "parameters"), KINDS, ids=str)
    async def test_it_answers_as_before_and_says_none(
        self, shop: Shop, path: str, parameters: dict[str, object]
    ) -> None:
        assert set((await relevances(shop, path, k=5, **parameters)).values()) == {None}


class TestOfOneTask:
    """Enough people searched, and few took what was recommended."""

    @pytest.fixture
    def deployments(self, settings: Settings, engine: RecordingEngine) -> DeploymentManager:
        calibrations = {"search": TaskCalibration(CALIBRATIONS["search"].guided), "recommendation": TaskCalibration()}

        def opened(_: object, version: str) -> Bundle:
            return cast(Bundle, ShopBundle(version, calibrations=calibrations))

        return DeploymentManager(settings, opened, lambda *_: engine)

    async def test_only_what_was_learned_is_said(self, shop: Shop) -> None:
        assert None not in (await relevances(shop, "/search", q="title 7")).values()
        assert set((await relevances(shop, "/search", q="title 7", guidance=False)).values()) == {None}
        assert set((await relevances(shop, "/recommend", user="stranger")).values()) == {None}
