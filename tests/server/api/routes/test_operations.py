from prometheus_client.parser import text_string_to_metric_families

from server.core.settings import Settings
from server.serving.manager import DeploymentManager
from tests.support.http_shop import Shop
from tests.support.memory_app import create_memory_app
from tests.support.memory_history import MemoryHistory
from tests.support.problems import assert_problem
from tests.support.small_shop import RecordingEngine


async def test_alive_whatever_else_is_wrong(shop: Shop, engine: RecordingEngine, history: MemoryHistory) -> None:
    await engine.stop()
    history.away = True
    assert (await shop.get("/health/live")).json() == {"status": "alive"}


async def test_ready(shop: Shop) -> None:
    response = await shop.get("/health/ready")
    assert response.status_code == 200
    assert response.json() == {"status": "ready", "checks": {"server": "ok", "engine": "ok", "redis": "ok"}}


async def test_ready_but_degraded_without_redis(shop: Shop, history: MemoryHistory) -> None:
    history.away = True
    response = await shop.get("/health/ready")
    assert response.status_code == 200
    assert response.json()["status"] == "degraded"
    assert "took it away" in response.json()["checks"]["redis"]


async def test_not_ready_without_an_engine(shop: Shop, engine: RecordingEngine) -> None:
    await engine.stop()
    response = await shop.get("/health/ready")
    body = assert_problem(response, 503, "not_ready")
    assert body["checks"]["redis"] == "ok"  # type: ignore[index]
    assert "the engine died" in str(body["detail"])


async def test_not_ready_while_draining_but_still_answering(settings: Settings, deployments: DeploymentManager) -> None:
    app = create_memory_app(settings, lambda _: deployments)
    async with app.router.lifespan_context(app):
        app.state.parts.health.drain()
        readiness = await app.state.parts.health.readiness()
    assert not readiness.ready
    assert readiness.checks["server"].startswith("draining")


async def test_version_names_the_model(shop: Shop) -> None:
    body = (await shop.get("/version")).json()
    assert body["model"] == "2025-11-20-a"
    assert body["items"] == 30
    assert body["gemserve"]


async def metrics(shop: Shop) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text = (await shop.get("/metrics")).text
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("gemserve_")
    }


async def test_requests_are_counted_by_route_and_outcome(shop: Shop, history: MemoryHistory) -> None:
    before = await metrics(shop)
    await shop.saw("ada", "item-9")
    for path in (
        "/search?q=tent",
        "/search?q=tent&k=5",
        "/search?q=",
        "/items/item-9",
        "/items/nope",
        "/nowhere/at/all",
    ):
        await shop.get(path)
    history.away = True
    await shop.get("/recommend?user=ada")
    await shop.post({"user_id": "ada", "type": "view", "item_id": "item-9"})
    after = await metrics(shop)

    def gained(name: str, **labels: str) -> float:
        key = (name, tuple(sorted(labels.items())))
        return after[key] - before.get(key, 0.0)

    requests = "gemserve_request_seconds_count"
    assert gained(requests, route="/search", outcome="ok") == 2
    assert gained(requests, route="/search", outcome="refused") == 1
    assert gained(requests, route="/items/{item_id:id}", outcome="ok") == 1
    assert gained(requests, route="/items/{item_id:id}", outcome="refused") == 1
    assert gained(requests, route="unmatched", outcome="refused") == 1
    assert gained(requests, route="/recommend", outcome="degraded") == 1
    assert gained(requests, route="/events", outcome="failed") == 1
    assert gained("gemserve_degraded_answers_total", route="/recommend") == 1
    assert gained("gemserve_events_total", result="accepted") == 1
    assert gained("gemserve_engine_seconds_count", task="search") == 2


async def test_metrics_know_the_model_and_its_catalog(shop: Shop) -> None:
    found = await metrics(shop)
    model = (("engine", "vllm"), ("identifiers", "semantic"), ("version", "2025-11-20-a"))
    assert found["gemserve_model_info", model] == 1
    version = ("model", "2025-11-20-a")
    assert found["gemserve_catalog_items", (("available", "true"), version)] == 28
    assert found["gemserve_catalog_items", (("available", "false"), version)] == 2
    assert found["gemserve_catalog_version", (version,)] == 0
    assert found["gemserve_traffic_weight", (version,)] == 100
    assert found["gemserve_requests_in_flight", ()] == 1


async def test_no_label_holds_what_somebody_typed(shop: Shop) -> None:
    await shop.get("/search?q=secret-query&user=secret-user")
    await shop.get("/secret-path")
    assert "secret" not in (await shop.get("/metrics")).text
