import json

import pytest
import structlog

from catalog.bundle.bundle import Bundle
from catalog.errors import BundleError
from server.app import create_app
from server.core.settings import Settings
from server.engine.errors import EngineError
from server.engine.protocol import Ranking, RankRequest
from server.serving.manager import DeploymentManager
from tests.support.http_shop import Shop
from tests.support.memory_app import create_memory_app
from tests.support.memory_history import MemoryHistory
from tests.support.problems import assert_problem
from tests.support.small_shop import RecordingEngine


@pytest.mark.parametrize("path", ["/nowhere", "/search/", "/docs/", "//search", "/%00", "/ｓｅａｒｃｈ"])
async def test_nothing_there(shop: Shop, path: str) -> None:
    assert_problem(await shop.client.get("http://shop" + path), 404, "not_found")


async def test_a_broken_host_header_breaks_nothing(shop: Shop) -> None:
    assert_problem(await shop.client.get("/nowhere", headers={"Host": "["}), 404, "not_found")


@pytest.mark.parametrize(("method", "path"), [("PUT", "/search"), ("DELETE", "/recommend"), ("GET", "/events")])
async def test_wrong_method(shop: Shop, method: str, path: str) -> None:
    response = await shop.client.request(method, path)
    body = assert_problem(response, 405, "method_not_allowed")
    assert response.headers["allow"] in str(body["detail"])


async def test_what_nobody_foresaw_is_a_500_that_tells_nothing(
    shop: Shop, engine: RecordingEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(request: RankRequest) -> Ranking:
        raise RuntimeError("the password is hunter2")

    monkeypatch.setattr(engine, "rank", broken)
    with structlog.testing.capture_logs() as logs:
        response = await shop.client.get("/search?q=tent", headers={"X-Request-ID": "r-1"})
    body = assert_problem(response, 500, "internal_error")
    assert "hunter2" not in response.text
    assert body["request_id"] == "r-1"
    assert [entry["event"] for entry in logs] == ["internal_error", "request"]


async def test_an_engine_that_refuses_is_a_500(
    shop: Shop, engine: RecordingEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(request: RankRequest) -> Ranking:
        raise EngineError("the prompt is too long")

    monkeypatch.setattr(engine, "rank", refuse)
    assert_problem(await shop.get("/search?q=tent"), 500, "internal_error")


async def test_one_line_a_request_without_what_was_typed(shop: Shop) -> None:
    with structlog.testing.capture_logs() as logs:
        await shop.get("/search?q=secret&user=secret")
        await shop.get("/health/live")
    assert [(entry["route"], entry["log_level"]) for entry in logs] == [("/search", "info"), ("/health/live", "debug")]
    assert "secret" not in json.dumps(logs)
    assert logs[0]["status"] == 200
    assert logs[0]["outcome"] == "ok"


async def test_a_client_that_leaves_while_it_sends_is_no_error(shop: Shop) -> None:
    messages = iter([{"type": "http.request", "body": b"[", "more_body": True}, {"type": "http.disconnect"}])
    headers = [(b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/events", "query_string": b"", "headers": headers}

    async def receive() -> dict[str, object]:
        return next(messages)

    async def send(message: dict[str, object]) -> None:
        raise AssertionError(message)

    with structlog.testing.capture_logs() as logs:
        await shop.client._transport.app(scope, receive, send)  # type: ignore[attr-defined]
    assert [(entry["event"], entry["status"], entry["outcome"]) for entry in logs] == [("request", 499, "refused")]


async def test_parts_are_closed_when_the_application_ends(
    settings: Settings, deployments: DeploymentManager, engine: RecordingEngine, history: MemoryHistory
) -> None:
    app = create_memory_app(settings, lambda _: deployments, history=history)
    async with app.router.lifespan_context(app):
        await engine.check()
        assert not history.closed
    assert history.closed
    with pytest.raises(EngineError):
        await engine.check()


async def test_an_engine_that_does_not_start_is_closed_again(
    settings: Settings, deployments: DeploymentManager, engine: RecordingEngine, history: MemoryHistory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    async def start() -> None:
        raise EngineError("no memory")

    monkeypatch.setattr(engine, "start", start)
    app = create_memory_app(settings, lambda _: deployments, history=history)
    with pytest.raises(EngineError, match="no memory"):
        async with app.router.lifespan_context(app):
            pass
    assert history.closed


async def test_a_bundle_that_cannot_be_served_stops_the_start(settings: Settings) -> None:
    def broken(_: Settings, version: str) -> Bundle:
        raise BundleError("model.safetensors is missing")

    app = create_app(settings, deploy=lambda _: DeploymentManager(settings, broken))
    with pytest.raises(BundleError, match=r"model\.safetensors is missing"):
        async with app.router.lifespan_context(app):
            pass


async def test_redis_may_be_away_at_the_start(settings: Settings, deployments: DeploymentManager) -> None:
    history = MemoryHistory()
    history.away = True
    app = create_memory_app(settings, lambda _: deployments, history=history)
    async with app.router.lifespan_context(app):
        assert (await app.state.parts.health.readiness()).ready
