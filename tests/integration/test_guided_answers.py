"""Guided answers over HTTP are those of brute force: every item scored by transformers and by the bundle's priors."""

import json
import shutil
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from catalog.bundle.bundle import Bundle, open_bundle
from catalog.bundle.folder import current_bundle, publish
from catalog.filters import compile_filter
from catalog.priors.priors import FEATURES
from catalog.priors.weights import prior_of
from catalog.search.calibration import relevances, rivals_of, save_calibrations
from catalog.search.transformers import TransformersRanker
from catalog.text.prompts import Interaction, Task
from server.core.settings import Settings
from server.engine.transformers import TransformersEngine
from server.serving.manager import DeploymentManager
from tests.support import world
from tests.support.memory_app import create_memory_app
from tests.support.server_process import PATIENT, ServerProcess
from tests.support.small_shop import CALIBRATIONS
from tests.support.trained import Trained
from tests.support.vllm_server import OPTIONS

pytestmark = [pytest.mark.integration, pytest.mark.slow]

QUERIES = ("red tent", "grey lamp", "lamp-blue", "boot", "alpina", '<a_1> AND "*:', "🏕️")
HISTORIES = ([], ["tent-red"], ["boot-green", "boot-red", "lamp-blue", "boot-green"])


@pytest.fixture(scope="module")
def bundle(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """With calibrations, which so few questions do not teach."""
    learned = open_bundle(current_bundle(trained.folder(world.LEARNING)))

    def fill(draft: Path) -> None:
        shutil.copytree(learned.path, draft, dirs_exist_ok=True, ignore=shutil.ignore_patterns("manifest.json"))
        save_calibrations(CALIBRATIONS, draft / "catalog" / "calibration.json")

    return open_bundle(publish(tmp_path_factory.mktemp("bundles"), learned.manifest, fill))


@pytest.fixture(scope="module", params=["vllm", "transformers"])
def url(
    request: pytest.FixtureRequest, bundle: Bundle, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str | None]:
    """Where a server with vLLM answers, which nobody tells of events; None for transformers, in this process."""
    if request.param == "transformers":
        yield None
        return
    redis = tmp_path_factory.mktemp("redis")
    process = ServerProcess(
        "--bundles", bundle.path.parent, "--managed-redis", redis, "--open-admin", "true", *OPTIONS, *PATIENT
    )
    yield process.url
    assert process.stop() == 0


@pytest.fixture
async def client(url: str | None, bundle: Bundle) -> AsyncIterator[httpx.AsyncClient]:
    async with AsyncExitStack() as stack:
        transport = None if url else await stack.enter_async_context(_in_this_process(bundle))
        base_url = url or "http://shop"
        yield await stack.enter_async_context(httpx.AsyncClient(base_url=base_url, transport=transport, timeout=60))


@asynccontextmanager
async def _in_this_process(bundle: Bundle) -> AsyncIterator[httpx.ASGITransport]:
    settings = Settings(
        bundles=bundle.path.parent, answer_timeout_seconds=60, guidance_timeout_ms=60_000, open_admin=True
    )

    def deploy(_: Settings) -> DeploymentManager:
        return DeploymentManager(settings, lambda *_: bundle, lambda *_: TransformersEngine(bundle, settings.engine))

    app = create_memory_app(settings, deploy)
    async with app.router.lifespan_context(app):
        yield httpx.ASGITransport(app=app)


@pytest.fixture(scope="module")
def ranker(bundle: Bundle) -> TransformersRanker:
    model = AutoModelForCausalLM.from_pretrained(bundle.model_dir, dtype=torch.float32)
    return TransformersRanker(model, bundle.index, bundle.level_tokens, normalize=bundle.normalize)


def log_probabilities(ranker: TransformersRanker, bundle: Bundle, text: str | None, rows: Sequence[int]) -> np.ndarray:
    """Of every item."""
    prompt = bundle.prompts.render([Interaction(row, None) for row in rows], text)
    leaves, scores = ranker.rank([prompt], len(bundle.items))[0]
    logp_N = np.empty(len(bundle.items))
    logp_N[leaves] = scores
    return logp_N


def joined(bundle: Bundle, task: Task, text: str | None, rows: Sequence[int], logp_N: np.ndarray) -> np.ndarray:
    """The guided score of every item."""
    prior = prior_of(bundle.priors.candidates(text, np.array(rows, np.int64)), bundle.prior_weights[task])
    score_N = prior.static_weight * bundle.priors.popularity_N.astype(np.float64)
    score_N[prior.leaves] = prior.values
    return score_N + prior.model_weight * logp_N


def check(answer: dict, bundle: Bundle, score_N: np.ndarray, left_out: set[int]) -> None:
    """All items in the order of their scores; those that are hardly apart may come in either order."""
    assert answer["degraded"] is False
    rows = [bundle.items.row_of(item["id"]) for item in answer["items"]]
    assert sorted(rows) == [row for row in range(len(bundle.items)) if row not in left_out]
    assert [item["score"] for item in answer["items"]] == pytest.approx(score_N[rows].tolist(), abs=1e-3)
    assert score_N[rows].tolist() == pytest.approx(sorted(score_N[rows], reverse=True), abs=2e-4)


def check_relevance(answer: dict, bundle: Bundle, task: Task, text: str | None, rows: Sequence[int] | None) -> None:
    """That of every item follows from its score and from what the bundle says. rows: None for the model alone."""
    own = CALIBRATIONS[task].guided if rows is not None else CALIBRATIONS[task].model
    assert own is not None
    said = None if rows is None else bundle.priors.candidates(text, np.array(rows, np.int64))
    rivals = 0.0 if said is None else rivals_of(prior_of(said, bundle.prior_weights[task]).values)
    nothing_fits = answer.get("fit") == "none"
    expected = relevances([item["score"] for item in answer["items"]], rivals, own, nothing_fits=nothing_fits)
    assert [item["relevance"] for item in answer["items"]] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("history", HISTORIES, ids=len)
async def test_all_items_come_in_the_order_of_brute_force(
    client: httpx.AsyncClient, bundle: Bundle, ranker: TransformersRanker, history: list[str]
) -> None:
    rows = [row for item in history if (row := bundle.items.row_of(item)) is not None]
    questions: list[tuple[str, Task, str | None]] = [("/search", "search", text) for text in QUERIES]
    for path, task, text in [*questions, ("/recommend", "recommendation", None)]:
        body = {"history": history, "k": 200, "exclude_seen": False} | ({} if text is None else {"q": text})
        guided, unasked, alone = [
            (await client.post(path, json=body | more)).json() for more in ({"guidance": True}, {}, {"guidance": False})
        ]
        assert unasked["items"] == guided["items"]
        if text is not None:
            assert guided["corrected_query"] is None
        logp_N = log_probabilities(ranker, bundle, text, rows)
        check(guided, bundle, joined(bundle, task, text, rows, logp_N), set())
        check(alone, bundle, logp_N, set())
        check_relevance(guided, bundle, task, text, rows)
        check_relevance(alone, bundle, task, text, None)


async def test_similar_items_are_guided_too(
    client: httpx.AsyncClient, bundle: Bundle, ranker: TransformersRanker
) -> None:
    row = bundle.items.row_of("tent-red")
    assert row is not None
    logp_N = log_probabilities(ranker, bundle, None, [row])
    for more, score_N in (
        ({}, joined(bundle, "recommendation", None, [row], logp_N)),
        ({"guidance": False}, logp_N),
    ):
        answer = (await client.get("/items/tent-red/similar", params={"k": 200, **more})).json()
        check(answer, bundle, score_N, {row})
        check_relevance(answer, bundle, "recommendation", None, None if more else [row])


SOURCES = {
    "words": "bm25 covered title_covered title_asked brand category attributes numbers beside category_named"
    " exact_title identifier title_begun",
    "clicks": "same_clicks alike_clicks intent",
    "neighbours": "ease item_knn",
    "transitions": "transitions next_category next_brand",
    "taste": "brand_taste category_taste price_taste content content_last",
    "popularity": "popularity",
}


@pytest.mark.parametrize("history", HISTORIES, ids=len)
async def test_the_shares_of_a_score_are_those_of_the_bundles_own_weights(
    client: httpx.AsyncClient, bundle: Bundle, ranker: TransformersRanker, history: list[str]
) -> None:
    weights = json.loads((bundle.path / "catalog" / "prior_weights.json").read_text())
    rows = [row for item in history if (row := bundle.items.row_of(item)) is not None]
    questions: list[tuple[str, Task, str | None]] = [("/search", "search", text) for text in QUERIES]
    for path, task, text in [*questions, ("/recommend", "recommendation", None)]:
        body = {"history": history, "k": 200, "exclude_seen": False, "explain": True}
        body |= {} if text is None else {"q": text}
        answer = (await client.post(path, json=body)).json()
        logp_N = log_probabilities(ranker, bundle, text, rows)
        candidates = bundle.priors.candidates(text, np.array(rows, np.int64))
        for item in answer["items"]:
            shares = item["explanation"]["shares"]
            assert sum(shares.values()) == pytest.approx(item["score"], abs=1e-4)
            row = bundle.items.row_of(item["id"])
            said = dict(zip(FEATURES, candidates.value_CF[candidates.item_C == row].sum(0).tolist(), strict=True))
            if row not in candidates.item_C:
                said["popularity"] = float(bundle.priors.popularity_N[row])
            expected = {
                source: sum(weights[task].get(name, 0.0) * said[name] for name in names.split())
                for source, names in SOURCES.items()
            }
            expected["model"] = weights[task]["model"] * logp_N[row]
            assert shares == pytest.approx({name: expected[name] for name in shares}, abs=1e-3)
            assert all(abs(value) < 1e-3 for name, value in expected.items() if name not in shares)
        alone = (await client.post(path, json=body | {"guidance": False})).json()
        for item in alone["items"]:
            assert item["explanation"]["shares"] == {"model": pytest.approx(item["score"], abs=1e-5)}


async def test_filters_pages_and_narrow_searches_hold_under_guidance(client: httpx.AsyncClient, bundle: Bundle) -> None:
    asked = {"q": "red tent", "filter": "price < 30"}
    whole = (await client.get("/search", params={**asked, "k": 30})).json()["items"]
    assert [item["id"] for item in whole[:1]] == ["tent-red"]
    assert all(item["price"] < 30 for item in whole)
    pages, cursor = [], None
    while cursor is not None or not pages:
        answer = (await client.get("/search", params={**asked, "k": 7} | ({"cursor": cursor} if cursor else {}))).json()
        pages += answer["items"]
        cursor = answer["next_cursor"]
    assert [item["id"] for item in pages] == [item["id"] for item in whole]


@pytest.mark.parametrize("history", HISTORIES, ids=len)
async def test_boosted_items_come_in_the_order_of_brute_force_on_every_page(
    client: httpx.AsyncClient, bundle: Bundle, ranker: TransformersRanker, history: list[str]
) -> None:
    boosts = {"price >= 25": 3, 'brand = "Alpina"': 0.2, 'category = "lamp"': 40}
    body = {"rule": {"tags": ["sale"]}, "boost": [{"condition": one, "factor": boosts[one]} for one in boosts]}
    assert (await client.put("/overrides/sale", json=body)).status_code == 200
    rows = [row for item in history if (row := bundle.items.row_of(item)) is not None]
    met_CN = np.array([compile_filter(condition, bundle.items) for condition in boosts])
    boost_N = np.log(list(boosts.values())) @ met_CN
    assert len(set(boost_N.tolist())) > len(boosts)
    questions: list[tuple[str, Task, str | None]] = [("/search", "search", text) for text in QUERIES]
    for path, task, text in [*questions, ("/recommend", "recommendation", None)]:
        asked = {"history": history, "exclude_seen": False, "override_tags": ["sale"]}
        asked |= {} if text is None else {"q": text}
        logp_N = log_probabilities(ranker, bundle, text, rows)
        for more, score_N in (({}, joined(bundle, task, text, rows, logp_N)), ({"guidance": False}, logp_N)):
            whole = (await client.post(path, json=asked | more | {"k": 200})).json()
            assert whole["overrides"] == ["sale"]
            check(whole, bundle, score_N + boost_N, set())
            pages = await _pages(client, path, asked | more | {"k": 7})
            check({"items": pages, "degraded": False}, bundle, score_N + boost_N, set())
    explained = (await client.post("/search", json=asked | {"q": "grey lamp", "explain": True, "k": 200})).json()
    for item in explained["items"]:
        shares = item["explanation"]["shares"]
        assert sum(shares.values()) == pytest.approx(item["score"], abs=1e-4)
        assert shares.get("boost", 0.0) == pytest.approx(boost_N[bundle.items.row_of(item["id"])], abs=1e-5)


async def _pages(client: httpx.AsyncClient, path: str, body: dict) -> list[dict]:
    """The items of all pages."""
    answer = (await client.post(path, json=body)).json()
    items = list(answer["items"])
    while answer["next_cursor"] is not None:
        answer = (await client.post(path, json=body | {"cursor": answer["next_cursor"]})).json()
        items += answer["items"]
    return items


@pytest.mark.parametrize("query", QUERIES[:3])
async def test_documents_come_in_the_order_of_brute_force(
    client: httpx.AsyncClient, bundle: Bundle, ranker: TransformersRanker, query: str
) -> None:
    await check_documents(client, bundle, ranker, query, "somebody", [])


@pytest.mark.parametrize("query", QUERIES[:3])
async def test_documents_are_put_in_order_for_their_user(
    bundle: Bundle, ranker: TransformersRanker, query: str
) -> None:
    """In a server of its own, which follows no events: they would change what guides."""
    rows = [0, 3]
    async with (
        _in_this_process(bundle) as transport,
        httpx.AsyncClient(base_url="http://shop", transport=transport, timeout=60) as client,
    ):
        events = [{"user_id": "ann", "type": "view", "item_id": bundle.items.ids[row]} for row in rows]
        assert (await client.post("/events", json=events)).status_code == 202
        await check_documents(client, bundle, ranker, query, "ann", rows)


async def check_documents(
    client: httpx.AsyncClient, bundle: Bundle, ranker: TransformersRanker, query: str, user: str, rows: Sequence[int]
) -> None:
    """Every item as a document, by id, and texts behind or between them by their words.

    rows: the user's history.
    """
    ids = bundle.items.ids
    body = {"query": query, "documents": [*ids, query, "nothing of it"], "user": user}
    response = await client.post("/v1/rerank", json=body)
    assert response.status_code == 200, response.text
    found = {one["index"]: one for one in response.json()["results"]}
    score_N = joined(bundle, "search", query, rows, log_probabilities(ranker, bundle, query, rows))
    said = bundle.priors.candidates(query, np.array(rows, np.int64))
    own, rivals = CALIBRATIONS["search"].guided, rivals_of(prior_of(said, bundle.prior_weights["search"]).values)
    assert own is not None
    expected = relevances(score_N.tolist(), rivals, own, nothing_fits=said.fit == "none")
    assert [found[row]["relevance_score"] for row in range(len(ids))] == pytest.approx(expected, abs=1e-4)
    assert found[len(ids)]["relevance_score"] > found[len(ids) + 1]["relevance_score"]
    assert not response.json()["degraded"]
