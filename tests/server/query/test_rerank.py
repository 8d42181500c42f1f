"""Reranking: every document has the score that it has alone, items that of a search, and texts that of their words."""

import math
import random
from collections.abc import Sequence
from typing import Any, cast

import pytest

from catalog.bundle.bundle import Bundle
from catalog.search.calibration import UNCALIBRATED, relevances
from server.core.settings import EngineSettings, Settings
from server.query.types import Query
from server.serving.manager import DeploymentManager
from tests.support.facet_shop import RECORDS, stock
from tests.support.http_shop import Shop
from tests.support.problems import assert_problem
from tests.support.small_shop import CALIBRATIONS, NAMES, UNAVAILABLE, ShopBundle
from tests.support.steady_engine import SteadyEngine

MAX_WIDTH = 7
TEXTS = [
    "a warm tent\nfor cold nights",
    "lantern",
    "nothing of it",
    "",
    "tent",
    "TENT 0",
    " warm\x00lantern ",
    "π∑ 帐篷",
]
QUERIES = ["warm tent", "lantern 7", "tent", "qqqq zzzz", "帐篷"]

TITLES = {record["title"]: record["id"] for record in RECORDS}


@pytest.fixture
def engine() -> SteadyEngine:
    return SteadyEngine()


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"engine": EngineSettings(max_width=MAX_WIDTH), "answer_timeout_seconds": 30})


async def reranked(shop: Shop, query: str, documents: Sequence[object], **asked: object) -> dict[str, Any]:
    response = await shop.client.post("/v1/rerank", json={"query": query, "documents": documents, **asked})
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


def scores(body: dict[str, Any]) -> dict[int, float]:
    return {result["index"]: result["relevance_score"] for result in body["results"]}


def drawn(draw: random.Random) -> list[object]:
    """Documents of every form, some of them twice."""
    records = draw.sample(RECORDS, draw.randint(1, 12))
    items = [draw.choice([r["id"], {"id": r["id"]}, r["title"], {"text": r["title"]}]) for r in records]
    texts = [draw.choice([text, {"text": text}, {"id": "nobody", "text": text}]) for text in draw.sample(TEXTS, 4)]
    documents = [*items, *texts, {"id": "nobody"}]
    return draw.sample([*documents, *draw.choices(documents, k=3)], len(documents) + 3)


@pytest.mark.parametrize("seed", range(3))
async def test_the_order_is_that_of_single_scores_and_a_permutation_changes_none(
    shop: Shop, engine: SteadyEngine, seed: int
) -> None:
    await stock(shop)
    draw = random.Random(f"rerank {seed}")
    query, documents = QUERIES[seed % len(QUERIES)], drawn(draw)
    asked: dict[str, object] = {"user": "ada"} if seed % 2 else {}
    await shop.saw("ada", *draw.sample(NAMES, 3))
    whole = await reranked(shop, query, documents, **asked)
    singles = [(await reranked(shop, query, [document], **asked))["results"][0] for document in documents]
    assert scores(whole) == {index: single["relevance_score"] for index, single in enumerate(singles)}
    told = [result["relevance_score"] for result in whole["results"]]
    assert told == sorted(told, reverse=True)
    assert [result["item_id"] for result in whole["results"]] == [
        singles[result["index"]]["item_id"] for result in whole["results"]
    ]
    order = list(range(len(documents)))
    draw.shuffle(order)
    shuffled = await reranked(shop, query, [documents[index] for index in order], **asked)
    assert {order[index]: score for index, score in scores(shuffled).items()} == scores(whole)
    assert whole["unknown"] == [index for index, document in enumerate(documents) if document == {"id": "nobody"}]
    assert all(request.width <= MAX_WIDTH for request in engine.requests)


@pytest.mark.parametrize("query", QUERIES)
async def test_an_item_has_the_relevance_that_a_search_gives_it(shop: Shop, query: str) -> None:
    """Those that are not available too, which a search does not show."""
    await stock(shop)
    await shop.saw("ada", *NAMES[2:5])
    body = {"q": query, "user": "ada", "k": 200, "prefix": False}
    found = (await shop.client.post("/search", json=body)).json()["items"]
    result = await reranked(shop, query, NAMES, user="ada", return_documents=False)
    assert {one["item_id"] for one in result["results"]} == set(NAMES)
    relevance_of = {one["item_id"]: one["relevance_score"] for one in result["results"]}
    assert {item["id"]: item["relevance"] for item in found} == {
        name: relevance for name, relevance in relevance_of.items() if name not in {NAMES[at] for at in UNAVAILABLE}
    }
    assert list(result["results"][0]) == ["index", "relevance_score", "item_id"]


async def test_items_are_named_by_id_before_title_and_of_one_title_the_available_one_counts(shop: Shop) -> None:
    records = [
        {"id": "item-9", "title": "item-8"},
        {"id": NAMES[3], "title": "Twins", "available": False},
        {"id": "item-10", "title": "Twins"},
        {"id": "item-11", "title": "Twins"},
        {"id": "12", "title": "Twelve"},
    ]
    assert (await shop.client.post("/items", json=records)).status_code == 200
    documents = ["item-8", "Twins", "twins", 12, "12", {"id": 12, "text": "what it says"}, "Title 6", {"id": "item-6"}]
    result = await reranked(shop, "title", documents)
    named = {one["index"]: one["item_id"] for one in result["results"]}
    twin = named.pop(1)
    assert twin in {"item-10", "item-11"}
    assert named == {0: "item-8", 2: None, 3: "12", 4: "12", 5: "12", 6: None, 7: "item-6"}
    texts = {one["index"]: one["document"]["text"] for one in result["results"]}
    assert texts == dict(enumerate(["item-8", "Twins", "twins", "Twelve", "12", "what it says", "Title 6", "item-6"]))


async def test_a_text_counts_by_its_words_and_reaches_what_an_item_of_such_words_does(shop: Shop) -> None:
    await stock(shop)
    documents = ["warm winter tent", "a tent", "of these nothing", "warm tent", "warm tent for four people"]
    result = await reranked(shop, "warm tent", documents)
    assert [documents[one["index"]] for one in result["results"]] == [
        "warm tent",
        "warm tent for four people",
        "warm winter tent",
        "a tent",
        "of these nothing",
    ]
    assert len(set(scores(result).values())) == len(documents)
    assert result["usage"] == {"prompt_tokens": 0, "total_tokens": 0}


async def test_without_guidance_texts_are_as_likely_as_any_item(shop: Shop, settings: Settings) -> None:
    (own,) = relevances([-math.log(len(NAMES))], 0.0, CALIBRATIONS["search"].model or pytest.fail("it has one"))
    service = shop.client._transport.app.state.parts.service  # type: ignore[attr-defined]
    service._guidance = False
    result = await reranked(shop, "title 7", ["title 7", "of these nothing", NAMES[1]])
    assert scores(result)[0] == scores(result)[1] == pytest.approx(own, abs=1e-6)
    assert [one["index"] for one in result["results"] if one["item_id"] is None] == [0, 1]


async def test_where_nothing_fits_only_texts_with_its_words_are_more_than_usual(shop: Shop) -> None:
    usual = CALIBRATIONS["search"].guided.usual  # type: ignore[union-attr]
    result = await reranked(shop, "qqqq zzzz", ["qqqq zzzz", "neither", *NAMES])
    assert result["results"][0]["index"] == 0
    assert result["results"][0]["relevance_score"] > usual
    assert all(one["relevance_score"] <= usual for one in result["results"][1:])


async def test_prices_do_not_filter_and_synonyms_count(shop: Shop) -> None:
    await stock(shop)
    assert (await shop.client.put("/synonyms/beds", json={"synonyms": ["lantern", "lamp"]})).status_code == 200
    result = await reranked(shop, "lamp under 1", [*NAMES, "a lantern", "a shoe"])
    assert len(result["results"]) == len(NAMES) + 2
    assert scores(result)[len(NAMES)] > scores(result)[len(NAMES) + 1]
    best = result["results"][0]["item_id"]
    assert "lantern" in next(record["title"] for record in RECORDS if record["id"] == best).lower()


async def test_overrides_and_what_was_seen_change_nothing(shop: Shop) -> None:
    plain = scores(await reranked(shop, "title 7", NAMES))
    body = {"rule": {"query": "title 7"}, "excludes": [NAMES[4]], "boost": [{"condition": "price < 9", "factor": 9}]}
    assert (await shop.client.put("/overrides/sale", json=body)).status_code == 200
    assert scores(await reranked(shop, "title 7", NAMES)) == plain
    await shop.saw("ada", NAMES[4])
    assert len(scores(await reranked(shop, "title 7", NAMES, user="ada"))) == len(NAMES)


async def test_top_n_return_documents_and_what_other_clients_send(shop: Shop) -> None:
    whole = (await reranked(shop, "title 7", NAMES))["results"]
    for top_n, most in ((1, 1), (3, 3), (200, 30), (0, 30), (None, 30)):
        assert (await reranked(shop, "title 7", NAMES, top_n=top_n))["results"] == whole[:most]
    result = await reranked(shop, "title 7", NAMES[:1], model="rerank-v3.5", max_tokens_per_doc=4096)
    assert result["model"] == "2025-11-20-a"
    assert result["results"][0]["document"] == {"text": NAMES[0]}
    assert result["calibrated"]
    assert result["usage"]["prompt_tokens"] > 0


async def test_an_answer_can_be_joined_to_its_events(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    noted: list[tuple[Query, list[str]]] = []
    service = shop.client._transport.app.state.parts.service  # type: ignore[attr-defined]
    monkeypatch.setattr(
        service, "_note", lambda query, result, page: noted.append((query, [one.item_id for one in result.items]))
    )
    await reranked(shop, "title", ["only texts", "of nothing"])
    assert noted == []
    result = await reranked(shop, "title", ["a title", *NAMES[:4]])
    ((query, items),) = noted
    assert (query.kind, query.request_id, query.text) == ("rerank", result["id"], "title")
    assert items == [one["item_id"] for one in result["results"] if one["item_id"] is not None]


WRONG: list[tuple[object, str]] = [
    ({"documents": ["a"]}, "query"),
    ({"query": " \u0000", "documents": ["a"]}, "query"),
    ({"query": "a" * 1_001, "documents": ["a"]}, "query"),
    ({"query": "a"}, "documents"),
    ({"query": "a", "documents": []}, "documents"),
    ({"query": "a", "documents": "a"}, "documents"),
    ({"query": "a", "documents": ["a"] * 1_001}, "documents"),
    ({"query": "a", "documents": ["a", None]}, "documents.1"),
    ({"query": "a", "documents": ["a", {}]}, "documents.1"),
    ({"query": "a", "documents": [["a"]]}, "documents.0"),
    ({"query": "a", "documents": [True]}, "documents.0.id"),
    ({"query": "a", "documents": [1.5]}, "documents.0.id"),
    ({"query": "a", "documents": [{"id": ""}]}, "documents.0.id"),
    ({"query": "a", "documents": [{"text": 7}]}, "documents.0.text"),
    ({"query": "a", "documents": [{"txt": "a"}]}, "documents.0.txt"),
    ({"query": "a", "documents": ["a"], "top_n": -1}, "top_n"),
    ({"query": "a", "documents": ["a"], "topn": 1}, "topn"),
    ({"query": "a", "documents": ["a"], "return_documents": "perhaps"}, "return_documents"),
    ({"query": "a", "documents": ["a"], "model": 7}, "model"),
]
"""Bodies that are refused, and the place that is named."""


async def test_what_is_wrong_is_said_by_its_place(shop: Shop) -> None:
    for body, field in WRONG:
        problem = assert_problem(await shop.client.post("/v1/rerank", json=body), 422, "invalid_request")
        assert [fault["field"] for fault in problem["errors"]] == [field], body


async def test_long_and_odd_texts_are_read_as_far_as_they_go(shop: Shop) -> None:
    words = "x" * 2_000
    texts = [f"{words} tent", "tent" + "\u0000" * 9, "\u202e tent \ufffd", "\n\n tent\n", "a " * 50_000, "( OR *"]
    result = await reranked(shop, "tent", texts)
    assert scores(result)[0] == min(scores(result).values()), "the word is behind what is read"
    assert len({scores(result)[index] for index in (1, 3)}) == 1
    assert {one["index"]: one["document"]["text"] for one in result["results"]} == dict(enumerate(texts))
    response = await shop.client.post(
        "/v1/rerank",
        content=b'{"query": "a", "documents": ["\\ud800"]}',
        headers={"Content-Type": "application/json"},
    )
    assert_problem(response, 400, "malformed_json")


class TestUncalibrated:
    """A bundle of few events."""

    @pytest.fixture
    def deployments(self, settings: Settings, engine: SteadyEngine) -> DeploymentManager:
        def opened(_: object, version: str) -> Bundle:
            return cast(Bundle, ShopBundle(version, calibrations=UNCALIBRATED))

        return DeploymentManager(settings, opened, lambda *_: engine)

    async def test_scores_keep_the_order_within_0_and_1(self, shop: Shop) -> None:
        found = await shop.ids("/search", q="title 7", k=200, prefix=False)
        result = await reranked(shop, "title 7", found[::-1])
        assert not result["calibrated"]
        assert [one["item_id"] for one in result["results"]] == found
        assert all(0 <= one["relevance_score"] <= 1 for one in result["results"])
