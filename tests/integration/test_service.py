"""The whole service, nothing faked: a bundle that the trainer made, vLLM, Redis, HTTP."""

import shutil
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from catalog.bundle.bundle import Bundle, open_bundle
from catalog.bundle.folder import current_bundle
from catalog.search.transformers import TransformersRanker
from catalog.text.prompts import Interaction
from tests.e2e.browser import Page
from tests.support import world
from tests.support.processes import run
from tests.support.server_process import PATIENT, ServerProcess
from tests.support.vllm_server import OPTIONS

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.fixture(scope="module")
def server(vllm_servers):
    return vllm_servers.unchanged().process


@pytest.fixture(scope="module")
def bundles(trained):
    return trained.folder(world.LEARNING)


@pytest.fixture(scope="module")
def bundle(vllm_servers) -> Bundle:
    return open_bundle(current_bundle(vllm_servers.unchanged().bundles))


@pytest.fixture
def client(server):
    with httpx.Client(base_url=server.url, timeout=30) as client:
        yield client


def ids(response: httpx.Response) -> list[str]:
    assert response.status_code == 200, response.text
    return [item["id"] for item in response.json()["items"]]


@pytest.mark.parametrize("k", [1, 7, 30])
def test_answers_are_k_distinct_items_of_the_catalog(client, bundle, k):
    for path, parameters in (("/search", {"q": "red tent"}), ("/recommend", {"user": "nobody"})):
        response = client.get(path, params={**parameters, "k": k})
        found = ids(response)
        assert len(found) == len(set(found)) == k
        assert set(found) <= set(bundle.items.ids)
        scores = [item["score"] for item in response.json()["items"]]
        assert scores == sorted(scores, reverse=True)
        assert response.json()["model"] == bundle.version


def test_asking_for_more_than_there_is_gives_all_there_is(client, bundle):
    assert sorted(ids(client.get("/search", params={"q": "lamp", "k": 200}))) == sorted(bundle.items.ids)


def test_the_ranking_is_that_of_transformers_on_the_same_checkpoint(client, bundle):
    model = AutoModelForCausalLM.from_pretrained(bundle.model_dir, dtype=torch.float32)
    ranker = TransformersRanker(model, bundle.index, bundle.level_tokens)
    for query in ("red tent", "grey lamp", "b", "<a_1> <|search|>"):
        response = client.get("/search", params={"q": query, "k": 20, "guidance": False})
        leaves, scores = ranker.rank([bundle.prompts.render([], query)], 50)[0]
        assert ids(response) == [bundle.items.ids[leaf] for leaf in leaves[:20]]
        assert [item["score"] for item in response.json()["items"]] == pytest.approx(scores[:20], abs=1e-4)


def test_events_change_the_next_recommendations(client, bundle):
    asked = {"user": "ann", "guidance": False, "exclude_seen": True}
    before = ids(client.get("/recommend", params={**asked, "k": 10}))
    events = [
        {"user_id": "ann", "type": "view", "item_id": item, "query": "tent"} for item in ("tent-red", "tent-blue")
    ]
    assert client.post("/events", json=events).status_code == 202
    after = ids(client.get("/recommend", params={**asked, "k": 10}))
    assert after != before
    assert not {"tent-red", "tent-blue"} & set(after)
    kept = client.get("/recommend", params={**asked, "k": 30, "exclude_seen": False})
    assert {"tent-red", "tent-blue"} <= set(ids(kept))
    leaves = [bundle.items.row_of(event["item_id"]) for event in events]
    model = AutoModelForCausalLM.from_pretrained(bundle.model_dir, dtype=torch.float32)
    prompt = bundle.prompts.render([Interaction(leaf, "tent") for leaf in leaves])
    ranker = TransformersRanker(model, bundle.index, bundle.level_tokens)
    best, _ = ranker.rank([prompt], 50, deny=[np.sort(leaves)])[0]
    assert after == [bundle.items.ids[leaf] for leaf in best[:10]]


def test_a_user_makes_a_search_personal(client):
    client.post("/events", json=[{"user_id": "bob", "type": "view", "item_id": f"boot-{c}"} for c in world.COLOURS])
    search = [item["score"] for item in client.get("/search", params={"q": "green"}).json()["items"]]
    personal = [item["score"] for item in client.get("/search", params={"q": "green", "user": "bob"}).json()["items"]]
    assert search != personal


@pytest.mark.parametrize("item", ["tent-red", "lamp-blue", "boot-green"])
def test_an_item_is_found_first_by_its_own_title_and_id(client, item):
    title = client.get(f"/items/{item}").json()["title"]
    for typed in (title, item):
        first, *_ = client.get("/search", params={"q": typed}).json()["items"]
        assert first["id"] == item
        assert first["score"] > 0


def test_the_page_shows_what_the_model_answers(client, server, bundle, chromium_driver):
    page = Page(chromium_driver, server.url)
    page.open()
    page.search("red tent")
    search = {"q": "red tent", "session": page.person(), "k": 12}
    assert page.ids("#results") == ids(client.get("/search", params=search))
    page.click("#results .card-open")
    page.wait(lambda: page.all(".visit"))
    page.close_dialog()
    page.click("#results .card-why")
    page.wait(lambda: page.all("#why-dialog .level"))
    assert [code.text for code in page.all("#why-dialog .level code")] == explained_codes(client, page, search)
    page.close_dialog()
    shelf = {"session": page.person(), "k": 12, "exclude_seen": True}
    page.open()
    page.wait(lambda: page.ids() == ids(client.get("/recommend", params=shelf)))  # what was opened may be told late
    assert page.text("#model") == bundle.version
    assert page.complaints() == []


def explained_codes(client, page, search):
    first = {"candidates": page.ids("#results")[0], "explain": True}
    answer = client.get("/search", params={**search, **first}).json()
    return [level["code"] for level in answer["items"][0]["explanation"]["levels"]]


def test_operations(client, bundle):
    assert client.get("/health/live").status_code == 200
    assert client.get("/health/ready").status_code == 200
    assert client.get("/version").json()["model"] == bundle.version
    metrics = client.get("/metrics").text
    assert "gemserve_" in metrics
    assert "vllm:" in metrics
    assert client.get("/items/tent-red").json()["title"] == "red tent"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/search?q=", 422),
        ("/search?q=%20%09", 422),
        ("/search", 422),
        ("/search?q=tent&k=0", 422),
        ("/search?q=tent&k=201", 422),
        ("/recommend", 422),
        ("/items/nothing", 404),
        ("/nowhere", 404),
    ],
)
def test_bad_requests_are_problems(client, path, status):
    response = client.get(path)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["request_id"]


def test_an_event_about_an_unknown_item_is_kept_and_told(client):
    response = client.post("/events", json={"user_id": "ann", "type": "view", "item_id": "ghost"})
    assert response.status_code == 202
    assert response.json()["accepted"][0]["known"] is False


def test_histories_survive_a_restart_of_server_and_redis(bundles, tmp_path):
    event = {"user_id": "cleo", "type": "view", "item_id": "rope-red", "event_id": "once"}
    options = ("--bundles", bundles, "--managed-redis", tmp_path / "redis", *OPTIONS, *PATIENT)
    server = ServerProcess(*options)
    assert httpx.post(f"{server.url}/events", json=event, timeout=30).status_code == 202
    before = ids(httpx.get(f"{server.url}/recommend", params={"user": "cleo"}, timeout=30))
    assert server.stop() == 0
    again = ServerProcess(*options)
    try:
        assert ids(httpx.get(f"{again.url}/recommend", params={"user": "cleo"}, timeout=30)) == before
        repeated = httpx.post(f"{again.url}/events", json=event, timeout=30)
        assert repeated.json()["accepted"][0]["duplicate"]
    finally:
        assert again.stop() == 0


@pytest.mark.parametrize(
    "damage",
    [
        *("model/model.safetensors", "catalog/items.parquet", "manifest.json", "catalog/prior_weights.json"),
        *("catalog/priors/texts.json", "catalog/priors/events_N.npy", "catalog/priors/ease_NN.data.npy"),
    ],
)
def test_a_damaged_bundle_stops_the_start_and_is_named(bundles, tmp_path, damage):
    shutil.copytree(bundles, tmp_path / "bundles", symlinks=True)
    file = tmp_path / "bundles/current" / damage
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(content)
    done = run("-m", "server", "--bundles", tmp_path / "bundles", "--port", "0")
    assert done.returncode == 2
    assert Path(damage).name in done.stderr
