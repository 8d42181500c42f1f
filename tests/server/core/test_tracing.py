"""One trace a request: what is in it, what it belongs to, and what must never be in it."""

import json
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
import structlog
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import SpanKind, StatusCode

from catalog.priors.priors import PRIOR_PARTS
from server.core import tracing
from server.core.logging import configure_logging
from server.core.settings import Settings
from server.core.tracing import otlp_provider
from server.serving.manager import DeploymentManager
from tests.support.http_shop import Shop
from tests.support.memory_app import create_memory_app
from tests.support.memory_changes import MemoryChanges
from tests.support.memory_history import MemoryHistory
from tests.support.small_shop import RecordingEngine

CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
NOT_SAMPLED = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
async def traced(
    settings: Settings,
    deployments: DeploymentManager,
    history: MemoryHistory,
    changes: MemoryChanges,
    exporter: InMemorySpanExporter,
) -> AsyncIterator[Shop]:
    provider = TracerProvider(sampler=ParentBased(TraceIdRatioBased(1.0)))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    app = create_memory_app(settings, lambda _: deployments, history=history, changes=changes, trace=lambda _: provider)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            yield Shop(client)


@pytest.fixture
def logged(capsys: pytest.CaptureFixture[str]) -> Iterator[pytest.CaptureFixture[str]]:
    configure_logging("info")
    yield capsys
    structlog.reset_defaults()


def spans(exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    return {span.name: span for span in exporter.get_finished_spans()}


async def test_a_request_is_a_trace_from_its_route_to_the_engine(traced: Shop, exporter: InMemorySpanExporter) -> None:
    response = await traced.get("/search", q="tent", user="ada", k=7)
    found = spans(exporter)
    assert set(found) == {"GET /search", "history", "prior", "prompt", "engine"}
    root = found["GET /search"]
    assert root.kind is SpanKind.SERVER
    assert root.parent is None
    for name in ("history", "prior", "prompt", "engine"):
        parent = found[name].parent
        assert parent is not None
        assert root.context is not None
        assert parent.span_id == root.context.span_id
        assert root.start_time <= found[name].start_time <= found[name].end_time <= root.end_time  # type: ignore[operator]
    assert dict(root.attributes or {}) == {
        "http.request.method": "GET",
        "http.route": "/search",
        "http.response.status_code": 200,
        "gemserve.request_id": response.json()["request_id"],
        "gemserve.degraded": False,
    }
    engine = dict(found["engine"].attributes or {})
    assert engine["gemserve.model"] == "2025-11-20-a"
    assert engine["gemserve.beam_width"] == 50
    assert engine["gemserve.prompt_tokens"]
    prior = dict(found["prior"].attributes or {})
    assert prior.keys() == {"gemserve.candidates", *(f"gemserve.{part}_ms" for part in PRIOR_PARTS)}
    assert prior["gemserve.candidates"]
    await traced.get("/recommend", user="ada")
    recommended = dict([span for span in exporter.get_finished_spans() if span.name == "prior"][-1].attributes or {})
    assert recommended.keys() == {"gemserve.candidates", "gemserve.neighbours_ms", "gemserve.features_ms"}


async def test_the_callers_trace_goes_on(traced: Shop, exporter: InMemorySpanExporter) -> None:
    await traced.client.get("/search?q=tent", headers={"traceparent": CALLER})
    root = spans(exporter)["GET /search"]
    assert root.context is not None
    assert f"{root.context.trace_id:032x}" == CALLER.split("-")[1]
    assert root.parent is not None
    assert f"{root.parent.span_id:016x}" == CALLER.split("-")[2]


@pytest.mark.parametrize("header", ["00-zz-1-01", "", "a" * 10_000])
async def test_a_damaged_traceparent_begins_a_new_trace(
    traced: Shop, exporter: InMemorySpanExporter, header: str
) -> None:
    assert (await traced.client.get("/search?q=tent", headers={"traceparent": header})).status_code == 200
    assert spans(exporter)["GET /search"].parent is None


async def test_a_caller_that_does_not_sample_is_respected(traced: Shop, exporter: InMemorySpanExporter) -> None:
    await traced.client.get("/search?q=tent", headers={"traceparent": NOT_SAMPLED})
    assert not exporter.get_finished_spans()


async def test_errors_are_recorded_where_they_happened(
    traced: Shop, exporter: InMemorySpanExporter, history: MemoryHistory, engine: RecordingEngine
) -> None:
    history.away = True
    await engine.stop()
    assert (await traced.get("/recommend", user="ada")).status_code == 503
    found = spans(exporter)
    assert (found["history"].attributes or {})["error.type"] == "HistoryUnavailable"
    assert (found["engine"].attributes or {})["error.type"] == "EngineUnavailable"
    assert (found["GET /recommend"].attributes or {})["error.type"] == "engine_unavailable"
    for span in found.values():
        expected = StatusCode.UNSET if span.name in {"prior", "prompt"} else StatusCode.ERROR
        assert span.status.status_code is expected, span.name


async def test_a_refusal_is_the_callers_error_not_ours(traced: Shop, exporter: InMemorySpanExporter) -> None:
    await traced.get("/search", q="")
    root = spans(exporter)["GET /search"]
    assert root.status.status_code is StatusCode.UNSET
    assert (root.attributes or {})["error.type"] == "invalid_request"


async def test_no_span_holds_what_somebody_typed_or_who_they_are(traced: Shop, exporter: InMemorySpanExporter) -> None:
    await traced.saw("secret-user", "item-9")
    await traced.get("/search", q="secret-query", user="secret-user", filter='title = "secret-filter"')
    await traced.get("/search", q="secret-query", filter="secret-filter !")
    await traced.get("/secret-path")
    finished = exporter.get_finished_spans()
    assert len(finished) >= 4
    assert not [span.to_json() for span in finished if "secret" in span.to_json()]


async def test_an_exception_that_leaves_the_application_is_an_error_without_its_text(
    exporter: InMemorySpanExporter,
) -> None:
    async def fail(*_: object) -> None:
        raise RuntimeError("secret-text")

    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    middleware = tracing.TracingMiddleware(fail, provider=provider)
    with pytest.raises(RuntimeError):
        await middleware({"type": "http", "method": "GET", "path": "/search", "headers": []}, fail, fail)  # type: ignore[arg-type]
    (root,) = exporter.get_finished_spans()
    assert root.status.status_code is StatusCode.ERROR
    assert "secret" not in root.to_json()


async def test_health_and_metrics_are_not_traced(traced: Shop, exporter: InMemorySpanExporter) -> None:
    for path in ("/health/live", "/health/ready", "/metrics"):
        await traced.get(path)
    assert not exporter.get_finished_spans()


async def test_log_lines_name_the_trace(
    traced: Shop, logged: pytest.CaptureFixture[str], history: MemoryHistory
) -> None:
    history.away = True
    await traced.client.get("/recommend?user=ada", headers={"traceparent": CALLER})
    lines = [json.loads(line) for line in logged.readouterr().out.splitlines()]
    assert {line["event"] for line in lines} == {"answering_without_history", "request"}
    assert {line["trace_id"] for line in lines} == {CALLER.split("-")[1]}


async def test_without_a_collector_nothing_is_traced(shop: Shop, logged: pytest.CaptureFixture[str]) -> None:
    await shop.get("/search", q="tent")
    assert "trace_id" not in logged.readouterr().out
    assert tracing.span("engine", model="any") is tracing.span("prompt")


def test_the_operator_chooses_the_share_of_requests() -> None:
    provider = otlp_provider("http://127.0.0.1:9", 0.0)
    with provider.get_tracer("test").start_as_current_span("never sampled") as span:
        assert not span.is_recording()
    provider.shutdown()


class Collector(BaseHTTPRequestHandler):
    """Keeps what it is sent in the server's `received`."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((self.path, body))  # type: ignore[attr-defined]
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Into nowhere."""


async def test_spans_reach_the_collector_before_the_server_ends(
    settings: Settings, deployments: DeploymentManager, history: MemoryHistory, changes: MemoryChanges
) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as collector:
        collector.received = []  # type: ignore[attr-defined]
        threading.Thread(target=collector.serve_forever, daemon=True).start()
        endpoint = f"http://127.0.0.1:{collector.server_address[1]}/"
        told = settings.model_copy(update={"otlp_endpoint": endpoint})
        app = create_memory_app(told, lambda _: deployments, history=history, changes=changes)
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
                assert (await client.get("/search?q=tent")).status_code == 200
        collector.shutdown()
        ((path, body),) = collector.received  # type: ignore[attr-defined]
    assert path == "/v1/traces"
    (resource,) = ExportTraceServiceRequest.FromString(body).resource_spans
    spans = resource.scope_spans[0].spans
    assert sorted(span.name for span in spans[:2]) == ["prior", "prompt"]  # beside each other
    assert [span.name for span in spans[2:]] == ["engine", "GET /search"]
    assert "gemserve" in str(resource.resource)
