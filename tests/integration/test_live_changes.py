"""A server in production: its catalog and its model change while people ask. Nothing is faked."""

import shutil
import threading
from collections import Counter

import httpx
import pytest

from catalog.bundle.folder import current_bundle, published_versions
from tests.support import world
from tests.support.server_process import PATIENT, ServerProcess
from tests.support.vllm_server import OPTIONS, VllmServer

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.fixture(scope="module", params=["recreate", "surge"])
def server(request, vllm_servers, trained, tmp_path_factory):
    """Quickly with the server that other files share; slowly with one that starts an engine for every change."""
    if request.param == "recreate":
        yield vllm_servers.changeable()
        return
    folder = tmp_path_factory.mktemp("surge")
    recipes = [("training.dropout=0", f"seed={seed}") for seed in (0, 1)]
    bundles = shutil.copytree(trained.folder(*recipes), folder / "bundles", symlinks=True)
    redis = folder / "redis"
    flags = ("--bundles", bundles, "--managed-redis", redis, "--rollout", "surge", *OPTIONS, *PATIENT)
    process = ServerProcess(*flags, imported="vllm")
    yield VllmServer(process, bundles)
    assert process.stop() == 0


@pytest.fixture(scope="module")
def bundles(server):
    return server.bundles


@pytest.fixture(scope="module")
def client(server):
    with httpx.Client(base_url=server.process.url, timeout=120) as client:
        yield client


def ids(response: httpx.Response) -> list[str]:
    assert response.status_code == 200, response.text
    return [item["id"] for item in response.json()["items"]]


def search(client: httpx.Client, **parameters: object) -> list[str]:
    """By the model alone: what guides it follows the events of other tests."""
    return ids(client.get("/search", params={"q": "red tent", "k": 200, "guidance": False, **parameters}))


def test_filters_and_candidates_limit_real_answers(client):
    tents = {f"tent-{colour}" for colour in world.COLOURS}
    assert set(search(client, filter='category = "tent"')) == tents
    assert len(search(client, filter="price < 15")) == 5
    assert search(client, filter='title = "grey lamp"') == ["lamp-grey"]
    assert search(client, filter="price > 1000") == []
    assert set(search(client, candidates=["tent-red", "rope-red", "nothing"])) == {"tent-red", "rope-red"}
    response = client.get("/search", params={"q": "x", "filter": "price < cheap"})
    assert response.status_code == 422
    assert response.json()["position"] == 8


def test_items_come_and_go(client):
    before = search(client)
    new = {"id": "tent-golden", "title": "golden tent", "categories": ["outdoor", "tent"], "price": 500.0}
    assert client.put("/items/tent-golden", json=new).json()["inserted"] == ["tent-golden"]
    assert set(search(client)) == {*before, "tent-golden"}
    assert search(client, filter="price = 500") == ["tent-golden"]
    assert client.post("/events", json={"user_id": "zoe", "type": "view", "item_id": "tent-golden"}).status_code == 202
    assert len(ids(client.get("/recommend", params={"user": "zoe", "k": 200, "exclude_seen": True}))) == len(before)
    assert client.delete("/items/tent-golden").status_code == 200
    assert sorted(search(client)) == sorted(before)
    assert len(ids(client.get("/recommend", params={"user": "zoe", "k": 200, "exclude_seen": True}))) == len(before)


def test_models_change_places_without_a_failed_request(client, bundles):
    old, new = published_versions(bundles)
    assert client.delete("/items/rope-red").status_code == 200
    served = client.get("/version").json()["model"]
    other = new if served == old else old
    answers = {served: search(client)}
    outcomes, done = Counter(), threading.Event()

    def ask(user: str) -> None:
        with httpx.Client(base_url=client.base_url, timeout=120) as own:
            while not done.is_set():
                response = own.get("/recommend", params={"user": user, "k": 5})
                outcomes[response.status_code, response.json().get("model")] += 1

    asking = [threading.Thread(target=ask, args=(f"u{i}",)) for i in range(3)]
    for thread in asking:
        thread.start()
    try:
        response = client.post(f"/admin/models/{other}/activate")
        assert response.status_code == 200, response.text
        answers[other] = search(client)
        assert client.post("/admin/models/rollback").json()["model"] == served
        assert search(client) == answers[served]
        assert client.post("/admin/models/rollback").json()["model"] == other
        assert search(client) == answers[other]
    finally:
        done.set()
        for thread in asking:
            thread.join()
    assert {status for status, _ in outcomes} == {200}
    assert {model for _, model in outcomes} == {old, new}
    assert answers[old] != answers[new]
    assert sorted(answers[old]) == sorted(answers[new])
    assert "rope-red" not in answers[old]
    assert current_bundle(bundles).name == other
    client.put("/items/rope-red", json={"title": "red rope", "categories": ["outdoor", "rope"], "price": 16.0})


def test_a_damaged_bundle_is_refused_and_the_present_one_serves_on(client, bundles):
    served = client.get("/version").json()["model"]
    damaged = bundles / "29990101-000000"
    shutil.copytree(bundles / served, damaged)
    weights = damaged / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x55")
    try:
        response = client.post(f"/admin/models/{damaged.name}/activate")
        assert response.status_code == 409
        assert "model.safetensors" in response.json()["detail"]
        assert client.get("/version").json()["model"] == served
        assert len(search(client)) == len(world.item_table())
    finally:
        shutil.rmtree(damaged)
